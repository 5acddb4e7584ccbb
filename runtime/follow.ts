import { END_EVENT, type RunEvent } from './event.ts'
import { type EventLog, type Runs, type Signals, topics } from './ports.ts'
import { isEnded } from './run.ts'

/** Events read at once. A slow reader holds no more than this in memory. */
const BATCH = 200
/** Should a signal be lost, a reader is this late. */
const POLL_MS = 1_000

export interface FollowPorts {
  events: EventLog
  runs: Runs
  signals: Signals
}

/**
 * The run's events after `after` (−1: all), each once, in order, until the run has ended. Reads the table, so it does
 * not matter which process executes the run, or how many have. Yields `null` whenever `idleMs` passed without an event.
 */
export async function* followRun(
  { events, runs, signals }: FollowPorts,
  {
    threadId,
    runId,
    after,
    idleMs,
    signal,
  }: { threadId: string; runId: string; after: number; idleMs: number; signal: AbortSignal },
): AsyncGenerator<RunEvent[] | null> {
  const watch = signals.watch(topics.run(runId))
  let last = after
  let quietSince = performance.now()
  try {
    while (!signal.aborted) {
      // Asked before the events are read: an ended run writes no more, so what is read then is all of it.
      const status = await runs.status(threadId, runId)
      const batch = await events.read(threadId, runId, last, BATCH)
      const seen = batch.at(-1)
      if (seen) {
        last = seen.seq
        quietSince = performance.now()
        const visible = batch.filter(({ event }) => event !== END_EVENT)
        if (visible.length > 0) yield visible
        if (batch.length === BATCH) continue
      }
      if (status === undefined || isEnded(status)) return
      await watch.changed({ timeoutMs: Math.min(POLL_MS, idleMs), signal })
      if (performance.now() - quietSince >= idleMs) {
        quietSince = performance.now()
        yield null
      }
    }
  } finally {
    watch.close()
  }
}

/** Waits until the run has ended. Returns JSON text: its final values, or `{"__error__": {error, message}}`. */
export async function awaitRun(
  ports: FollowPorts,
  run: { threadId: string; runId: string; idleMs: number; signal: AbortSignal },
  onIdle: () => Promise<void>,
): Promise<string> {
  const watch = ports.signals.watch(topics.run(run.runId))
  try {
    while (!run.signal.aborted) {
      const status = await ports.runs.status(run.threadId, run.runId)
      if (status === undefined || isEnded(status)) break
      const before = performance.now()
      await watch.changed({ timeoutMs: run.idleMs, signal: run.signal })
      if (performance.now() - before >= run.idleMs) await onIdle()
    }
    const end = await ports.events.last(run.threadId, run.runId)
    return end?.event === END_EVENT ? end.data : 'null'
  } finally {
    watch.close()
  }
}
