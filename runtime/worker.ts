import type { ExecutorPorts } from './attempt.ts'
import { execute } from './execute.ts'
import { newId } from './ids.ts'
import { HandedOver, LeaseLost } from './lease.ts'
import { topics } from './topics.ts'
import type { ClaimedRun } from './run.ts'

/** How often a worker looks for runs, should a signal have been lost, and for those of dead workers. */
const POLL_MS = 1_000

export interface Worker {
  /** Stops claiming, gives the running runs `graceMs` to end, then hands them over. */
  close(graceMs: number): Promise<void>
  readonly running: number
}

/** Claims runs and executes up to `slots` at a time, while the lease of `leaseMs` is kept alive. */
export async function startWorker(
  ports: ExecutorPorts,
  { slots, leaseMs }: { slots: number; leaseMs: number },
): Promise<Worker> {
  const id = newId()
  const closing = new AbortController()
  const active = new Map<string, Execution>()
  const watch = ports.signals.watch(topics.queue)

  await ports.queue.heartbeat(id, leaseMs)
  const heart = startHeart(
    () => ports.queue.heartbeat(id, leaseMs),
    leaseMs,
    () => {
      for (const { runId, abort } of active.values()) abort.abort(new LeaseLost(runId))
    },
  )

  const start = (run: ClaimedRun) => {
    const abort = new AbortController()
    // By the token too: a run that this worker lost and took again is executed a second time while the first ends.
    const key = `${run.run_id}.${run.lease_token}`
    const done = execute(run, abort.signal, ports).finally(() => active.delete(key))
    active.set(key, { runId: run.run_id, abort, done })
  }
  let lookedAt = -POLL_MS
  const claim = async () => {
    while (!closing.signal.aborted) {
      let claimed: ClaimedRun[] = []
      const free = slots - active.size
      try {
        const held = [...active.values()].map(({ runId }) => runId)
        const orphans = performance.now() - lookedAt >= POLL_MS
        claimed = await ports.queue.claim(id, free, { held, orphans })
        if (orphans) lookedAt = performance.now()
      } catch (error) {
        ports.log.error('The queue cannot be read; trying again', { cause: String(error) })
      }
      claimed.forEach(start)
      if (active.size >= slots) await Promise.race([...active.values()].map(({ done }) => done))
      // Fewer than there was room for are all that there are: who queues the next one says so.
      else if (claimed.length < free) await watch.changed({ timeoutMs: POLL_MS, signal: closing.signal })
    }
  }
  const claiming = claim()

  return {
    get running() {
      return active.size
    },
    async close(graceMs) {
      closing.abort()
      await claiming
      watch.close()
      await endWithin(graceMs, active)
      heart.stop()
      await ports.queue.leave(id).catch(() => {})
    },
  }
}

interface Execution {
  runId: string
  abort: AbortController
  done: Promise<void>
}

async function endWithin(graceMs: number, active: Map<string, Execution>): Promise<void> {
  const timer = setTimeout(() => {
    for (const { abort } of active.values()) abort.abort(new HandedOver())
  }, graceMs)
  await Promise.all([...active.values()].map(({ done }) => done))
  clearTimeout(timer)
}

/** Beats three times a lease. When no beat succeeded for a whole lease, `lost` is called: others may have the runs. */
function startHeart(beat: () => Promise<void>, leaseMs: number, lost: () => void): { stop(): void } {
  let lastBeat = performance.now()
  let beating = false
  const timer = setInterval(() => {
    if (performance.now() - lastBeat > leaseMs) lost()
    if (beating) return
    beating = true
    const started = performance.now()
    beat().then(
      () => {
        lastBeat = started
        beating = false
      },
      () => {
        beating = false
      },
    )
  }, leaseMs / 3)
  return { stop: () => clearInterval(timer) }
}
