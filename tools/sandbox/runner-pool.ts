import { startRunner, type RunnerProcess } from './runner-process.ts'

/** Owns every child. A child that a thread has used is never given to another thread. */
export interface RunnerPool {
  /** The caller's until it is given back. May still be booting. */
  take(threadId: string, cpuMs: number): RunnerProcess
  /** Takes a healthy child back, to be the same thread's next one. */
  keep(threadId: string, runner: RunnerProcess): void
  /** Ends all children, and resolves when they are gone. */
  close(): Promise<void>
}

export interface PoolOptions {
  /** Children booted ahead; the first `take` boots them. */
  spares: number
  /** CPU milliseconds of a child in the pool; another limit gets a child of its own. */
  cpuMs: number
}

/** How long a thread's child waits for its next call: the time in which a model answers. */
const KEEP_MS = 10_000
/** About 70 MB each. The longest waiting one goes first. */
const MAX_KEPT = 4
/** Interpreters are garbage in the child until V8 collects them: a child does not live for ever. */
const MAX_RUNS = 50

export function createRunnerPool({ spares: wanted, cpuMs: usualCpuMs }: PoolOptions): RunnerPool {
  const alive = new Set<RunnerProcess>()
  const spares = new Set<RunnerProcess>()
  const kept = new Map<string, { runner: RunnerProcess; timer: NodeJS.Timeout }>()
  let closed = false

  function start(cpuMs: number): RunnerProcess {
    const runner = startRunner(cpuMs)
    alive.add(runner)
    void runner.ended.then(() => {
      alive.delete(runner)
      spares.delete(runner)
    })
    return runner
  }

  function take(threadId: string, cpuMs: number): RunnerProcess {
    const usual = cpuMs === usualCpuMs
    const runner = (usual && (takeKept(threadId) ?? takeSpare())) || start(cpuMs)
    runner.setIdle(false)
    // After the boot of this one, so that the two do not compete for the CPU.
    void runner.ready.then(bootSpares, () => {})
    return runner
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
    while (!closed && spares.size < wanted) {
      const spare = start(usualCpuMs)
      spare.setIdle(true)
      spares.add(spare)
    }
  }

  function keep(threadId: string, runner: RunnerProcess): void {
    const spent = runner.usage.runs >= MAX_RUNS || runner.usage.cpuMs > usualCpuMs
    if (closed || spent || runner.cpuLimitMs !== usualCpuMs || !alive.has(runner)) return runner.kill()
    takeKept(threadId)?.kill()
    const timer = setTimeout(() => takeKept(threadId)?.kill(), KEEP_MS).unref()
    kept.set(threadId, { runner, timer })
    runner.setIdle(true)
    const [oldest] = kept.keys()
    if (kept.size > MAX_KEPT && oldest !== undefined) takeKept(oldest)?.kill()
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
