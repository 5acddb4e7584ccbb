import type { RunnerProcess } from './runner-process.ts'
import type { StartLimits } from './runner-programs.ts'

/** Owns every child. A child that a thread has used is never given to another thread. */
export interface RunnerPool {
  /** The caller's until it is given back. May still be booting. */
  take(threadId: string, limits: StartLimits): RunnerProcess
  /** Takes a healthy child back, to be the same thread's next one. */
  keep(threadId: string, runner: RunnerProcess): void
  /** Ends all children, and resolves when they are gone. */
  close(): Promise<void>
}

export interface PoolOptions {
  /** Children booted ahead; the first `take` boots them. */
  spares: number
  /** Children that wait for their thread's next call at most. The longest waiting one goes first. */
  maxKept: number
  /** A child does not live for ever. */
  maxRuns: number
  /** Of memory, by the child's own account: one that has more is not kept. */
  maxKeptBytes: number
  /** Of a child in the pool; other limits get a child of their own. */
  limits: StartLimits
  start(limits: StartLimits): RunnerProcess
}

/** How long a thread's child waits for its next call: the time in which a model answers. */
const KEEP_MS = 10_000

export function createRunnerPool(options: PoolOptions): RunnerPool {
  const alive = new Set<RunnerProcess>()
  const spares = new Set<RunnerProcess>()
  const kept = new Map<string, { runner: RunnerProcess; timer: NodeJS.Timeout }>()
  let closed = false

  function start(limits: StartLimits): RunnerProcess {
    const runner = options.start(limits)
    alive.add(runner)
    void runner.ended.then(() => {
      alive.delete(runner)
      spares.delete(runner)
    })
    return runner
  }

  function take(threadId: string, limits: StartLimits): RunnerProcess {
    const runner = (isUsual(limits) && (takeKept(threadId) ?? takeSpare())) || start(limits)
    runner.setIdle(false)
    // After the boot of this one, so that the two do not compete for the CPU.
    // What keeps a spare from starting keeps the next run from it, which says so.
    void runner.ready.then(bootSpares).catch(() => {})
    return runner
  }

  function isUsual({ cpuMs, memoryBytes }: StartLimits): boolean {
    return cpuMs === options.limits.cpuMs && memoryBytes === options.limits.memoryBytes
  }

  function takeKept(threadId: string): RunnerProcess | undefined {
    const entry = kept.get(threadId)
    if (entry === undefined) return undefined
    clearTimeout(entry.timer)
    kept.delete(threadId)
    return alive.has(entry.runner) ? entry.runner : undefined
  }

  function takeSpare(): RunnerProcess | undefined {
    const [spare] = spares
    if (spare !== undefined) spares.delete(spare)
    return spare
  }

  function bootSpares(): void {
    while (!closed && spares.size < options.spares) {
      const spare = start(options.limits)
      spare.setIdle(true)
      spares.add(spare)
    }
  }

  function keep(threadId: string, runner: RunnerProcess): void {
    const { runs, cpuMs, memoryBytes } = runner.usage
    const spent =
      runs >= options.maxRuns || cpuMs > options.limits.cpuMs || memoryBytes > options.maxKeptBytes
    if (closed || spent || !isUsual(runner.limits) || !alive.has(runner)) return runner.kill()
    takeKept(threadId)?.kill()
    const timer = setTimeout(() => takeKept(threadId)?.kill(), KEEP_MS).unref()
    kept.set(threadId, { runner, timer })
    runner.setIdle(true)
    const [oldest] = kept.keys()
    if (kept.size > options.maxKept && oldest !== undefined) takeKept(oldest)?.kill()
  }

  async function close(): Promise<void> {
    closed = true
    for (const { timer } of kept.values()) clearTimeout(timer)
    for (const runner of alive) {
      // Otherwise nothing would keep this process waiting for their end.
      runner.setIdle(false)
      runner.kill()
    }
    await Promise.all([...alive].map((runner) => runner.ended))
  }

  return { take, keep, close }
}
