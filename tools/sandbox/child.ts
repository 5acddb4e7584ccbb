import type { Workspaces } from '../../runtime/workspaces.ts'
import { createHostCalls } from './host-calls.ts'
import { createRunnerPool } from './runner-pool.ts'
import { runnerVersion, type RunnerProcess } from './runner-process.ts'
import { runInChild, type RunOutcome } from './sandbox-run.ts'
import {
  DEFAULT_LIMITS,
  type Capabilities,
  type Isolation,
  type Limits,
  type RunStatus,
  type Sandbox,
  type SandboxBackend,
} from './sandbox.ts'

export interface ChildSandboxOptions {
  /** The only thing outside of itself that guest code reaches. */
  workspaces: Workspaces
  limits?: Partial<Limits>
  /** Children booted ahead, about 70 MB each. Without one, a thread's first run waits for a boot. */
  spares?: number
}

/** Network is `soft`: the guest has none, but a guest that broke QuickJS would have the child's. */
const CAPABILITIES: Capabilities = {
  wall: 'hard',
  cpu: process.platform === 'win32' ? 'soft' : 'hard',
  memory: 'hard',
  network: 'soft',
  filesystem: 'hard',
  pids: 'hard',
  output: 'hard',
}

/**
 * JavaScript in QuickJS, compiled to WebAssembly, in a disposable child process that serves one thread. Each run
 * gets an interpreter of its own. Between calls of a thread its child is kept for some seconds.
 */
export function createChildSandbox(options: ChildSandboxOptions): SandboxBackend {
  const defaults: Limits = { ...DEFAULT_LIMITS, ...options.limits }
  const isolation: Isolation = { backend: 'quickjs-child', version: runnerVersion(), level: 'process' }
  const pool = createRunnerPool({ spares: options.spares ?? 1, cpuMs: defaults.cpuMs })
  let closed = false

  async function open({
    threadId,
    limits,
  }: {
    threadId: string
    limits?: Partial<Limits>
  }): Promise<Sandbox> {
    const own: Limits = { ...defaults, ...limits }
    let runner: RunnerProcess | undefined

    async function attempt(code: string, signal?: AbortSignal): Promise<RunOutcome> {
      if (closed) return notRun('unavailable', 'The sandbox is closed.')
      if (signal?.aborted) return notRun('cancelled', 'The call was cancelled.')
      const child = (runner ??= pool.take(threadId, own.cpuMs))
      try {
        await untilReady(child, signal)
      } catch (error) {
        runner = undefined
        child.kill()
        if (signal?.aborted) return notRun('cancelled', 'The call was cancelled.')
        return notRun('unavailable', error instanceof Error ? error.message : String(error))
      }
      const calls = createHostCalls(options.workspaces, threadId, own.hostCalls)
      const outcome = await runInChild(child, calls, code, own, signal)
      // Killed by then: the next run gets another.
      if (outcome.status !== 'ok' && outcome.status !== 'guest_error') runner = undefined
      return outcome
    }

    async function close(): Promise<void> {
      if (runner !== undefined) pool.keep(threadId, runner)
      runner = undefined
    }

    return { run: async (code, { signal } = {}) => ({ ...(await attempt(code, signal)), isolation }), close }
  }

  async function probe() {
    const sandbox = await open({ threadId: PROBE })
    try {
      const { status, value, error } = await sandbox.run('const two = await 2; two + 40')
      if (status === 'ok' && value === 42) return { ok: true as const, capabilities: CAPABILITIES }
      return { ok: false as const, reason: error?.message ?? `The probe ended as ${status}.` }
    } finally {
      await sandbox.close()
    }
  }

  async function close(): Promise<void> {
    closed = true
    await pool.close()
  }

  return { id: isolation.backend, probe, open, close }
}

const PROBE = '00000000-0000-0000-0000-000000000000'

async function untilReady(runner: RunnerProcess, signal?: AbortSignal): Promise<void> {
  if (signal === undefined) return runner.ready
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(new Error('The call was cancelled.'))
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([runner.ready, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function notRun(status: RunStatus, message: string): RunOutcome {
  return {
    status,
    value: null,
    error: { message },
    stdout: '',
    stderr: '',
    truncated: [],
    files: [],
    usage: { wallMs: 0, cpuMs: 0, hostCalls: 0, memoryBytes: 0 },
  }
}
