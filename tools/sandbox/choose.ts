import { createBubblewrapSandbox } from './bubblewrap.ts'
import { createChildSandbox } from './child.ts'
import type { RunnerSandboxOptions } from './runner-sandbox.ts'
import {
  LEVELS,
  type Capabilities,
  type Level,
  type Sandbox,
  type SandboxBackend,
  type SandboxResult,
} from './sandbox.ts'

export interface SandboxChoice {
  /** `auto`: the strongest that works here. */
  backend: 'auto' | 'bubblewrap' | 'child'
  /** Below it nothing runs. */
  minimum: Level
}

/** What was found: a backend and what it enforces, or why code cannot run here. */
export type Chosen =
  | { backend: SandboxBackend; capabilities: Capabilities; passedOver: string[] }
  | { backend: undefined; passedOver: string[] }

/**
 * A sandbox that is tried out before its first run. What does not work, or is less than the minimum, is never replaced
 * by less: runs are then `unavailable`. `begin` starts the trial now and says how it ended.
 */
export function chooseSandbox(
  { backend: wanted, minimum }: SandboxChoice,
  options: RunnerSandboxOptions,
): SandboxBackend & { begin(): Promise<Chosen> } {
  const made: SandboxBackend[] = []
  let choice: Promise<Chosen> | undefined
  let closed = false

  async function choose(): Promise<Chosen> {
    const passedOver: string[] = []
    for (const create of CANDIDATES[wanted]) {
      if (closed) break
      const backend = create(options)
      made.push(backend)
      if (LEVELS.indexOf(backend.level) < LEVELS.indexOf(minimum)) {
        passedOver.push(
          `${backend.id} isolates by ${backend.level}, and ${minimum} is the least that is allowed`,
        )
        continue
      }
      const probed = await backend.probe()
      if (probed.ok) return { backend, capabilities: probed.capabilities, passedOver }
      passedOver.push(`${backend.id} does not work here: ${probed.reason}`)
    }
    return { backend: undefined, passedOver }
  }

  const begin = () => (choice ??= choose())

  return {
    id: wanted,
    level: minimum,
    begin,
    async open(request) {
      const { backend, passedOver } = await begin()
      return backend === undefined ? unavailable(passedOver, minimum) : await backend.open(request)
    },
    async probe() {
      const chosen = await begin()
      if (chosen.backend === undefined) return { ok: false, reason: chosen.passedOver.join('; ') }
      return { ok: true, capabilities: chosen.capabilities }
    },
    async close() {
      closed = true
      await Promise.all(made.map((backend) => backend.close()))
    },
  }
}

const CANDIDATES = {
  auto: [createBubblewrapSandbox, createChildSandbox],
  bubblewrap: [createBubblewrapSandbox],
  child: [createChildSandbox],
} satisfies Record<SandboxChoice['backend'], ((options: RunnerSandboxOptions) => SandboxBackend)[]>

function unavailable(passedOver: string[], minimum: Level): Sandbox {
  const result: SandboxResult = {
    status: 'unavailable',
    value: null,
    error: { message: `No sandbox runs code here: ${passedOver.join('; ')}.` },
    stdout: '',
    stderr: '',
    truncated: [],
    files: [],
    usage: { wallMs: 0, cpuMs: 0, hostCalls: 0, memoryBytes: 0 },
    isolation: { backend: 'none', version: '', level: minimum },
  }
  return { run: async () => result, close: async () => {} }
}
