import type { Workspaces } from '../../runtime/workspaces.ts'
import { createHostCalls } from './host-calls.ts'
import type { Launch } from './launch.ts'
import { pythonSnapshot } from './python-snapshot.ts'
import { createRunnerPool, type RunnerPool } from './runner-pool.ts'
import { startRunner, type RunnerProcess } from './runner-process.ts'
import { programOf, type StartLimits, versionOf } from './runner-programs.ts'
import {
  DEFAULT_LIMITS,
  type Capabilities,
  type Isolation,
  type Language,
  type Level,
  type Limits,
  type Probed,
  type RunStatus,
  type Sandbox,
  type SandboxBackend,
} from './sandbox.ts'
import { runInChild, type RunOutcome } from './sandbox-run.ts'

export interface RunnerSandboxOptions {
  /** The only thing outside of itself that guest code reaches. */
  workspaces: Workspaces
  /** In the place of the language's own. */
  limits?: Partial<Limits>
  /** Children of each language booted ahead, from its first use on. Without one a thread's first run waits for a boot. */
  spares?: number
  /** Where a snapshot of the booted Python is kept; without it each boot takes two seconds instead of a third of one. */
  snapshots?: string
}

/** What differs between backends that run our own runners: what they are started in. */
export interface Boundary {
  id: string
  level: Level
  launch: Launch
  capabilities: Capabilities
  /** Whatever else it holds. */
  close?(): Promise<void>
}

interface Engine {
  pool: RunnerPool
  limits: Limits
  start(limits: StartLimits): RunnerProcess
  isolation: Isolation
}

/** That wait for their thread's next call: about 70 MB each, and 150. Fewer than work at a time would boot for each call. */
const KEPT = 4
/** QuickJS's interpreters are garbage in the child until V8 collects them; CPython's memory is put back. */
const MAX_RUNS = { javascript: 50, python: 500 } satisfies Record<Language, number>
/** CPython has 30 MB after its boot. QuickJS gets fresh memory for each run, and V8 frees it. */
const KEPT_BYTES = { javascript: Infinity, python: 64 * 1024 * 1024 } satisfies Record<Language, number>

/**
 * QuickJS and CPython, compiled to WebAssembly, in disposable child processes that serve one thread each. Each run gets
 * an interpreter that nobody has used. Between calls of a thread its child is kept for some seconds.
 */
export function createRunnerSandbox(
  { id, level, launch, capabilities, close: release }: Boundary,
  options: RunnerSandboxOptions,
): SandboxBackend {
  const probing = new Set<RunnerProcess>()
  let closed = false

  let snapshot: string | undefined
  let prepared: Promise<void> | undefined

  const engines: Record<Language, Engine> = {
    javascript: engine('javascript', 'quickjs'),
    python: engine('python', 'pyodide'),
  }

  function engine(language: Language, interpreter: string): Engine {
    const limits: Limits = { ...DEFAULT_LIMITS[language], ...options.limits }
    const start = (limits: StartLimits) => startRunner(programOf(language, limits, snapshot), launch, limits)
    const pool = createRunnerPool({
      spares: options.spares ?? 1,
      maxKept: KEPT,
      maxRuns: MAX_RUNS[language],
      maxKeptBytes: KEPT_BYTES[language],
      limits,
      start,
    })
    const version = `${interpreter} ${versionOf(language)}`
    return { pool, limits, start, isolation: { backend: id, version, level } }
  }

  /** Once: the first Python of a machine waits for it. */
  async function prepare(): Promise<void> {
    if (options.snapshots !== undefined)
      snapshot = await pythonSnapshot(options.snapshots, launch, engines.python.limits)
  }

  async function open({
    threadId,
    language,
    limits,
  }: Parameters<SandboxBackend['open']>[0]): Promise<Sandbox> {
    const { pool, isolation, ...usual } = engines[language]
    const own: Limits = { ...usual.limits, ...limits }
    let runner: RunnerProcess | undefined

    async function attempt(code: string, signal?: AbortSignal): Promise<RunOutcome> {
      if (language === 'python' && !closed) await (prepared ??= prepare())
      if (closed) return notRun('unavailable', 'The sandbox is closed.')
      if (signal?.aborted) return notRun('cancelled', 'The call was cancelled.')
      let child: RunnerProcess | undefined
      try {
        child = runner ??= pool.take(threadId, own)
        await untilReady(child, signal)
      } catch (error) {
        runner = undefined
        child?.kill()
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

  /** In a child of its own, which leaves no spare behind: whoever never runs code has none. */
  async function probe(): Promise<Probed> {
    const { limits, start } = engines.javascript
    let runner: RunnerProcess | undefined
    try {
      runner = start(limits)
      probing.add(runner)
      await runner.ready
      const calls = createHostCalls(options.workspaces, PROBE, 0)
      const { status, value, error } = await runInChild(
        runner,
        calls,
        'const two = await 2; two + 40',
        limits,
      )
      if (status === 'ok' && value === 42) return { ok: true, capabilities }
      return { ok: false, reason: error?.message ?? `The probe ended as ${status}.` }
    } catch (error) {
      return { ok: false, reason: error instanceof Error ? error.message : String(error) }
    } finally {
      runner?.kill()
    }
  }

  async function close(): Promise<void> {
    closed = true
    for (const runner of probing) runner.kill()
    await Promise.all([...probing].map((runner) => runner.ended))
    await Promise.all(Object.values(engines).map(({ pool }) => pool.close()))
    await release?.()
  }

  return { id, level, probe, open, close }
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
