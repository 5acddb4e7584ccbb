import { END_EVENT, type StartedRun } from './event.ts'
import type { LiveEvents, LiveReader } from './live-events.ts'
import type { EventLog, Runs, Signals } from './ports.ts'
import { topics } from './topics.ts'
import { isEnded } from './run.ts'

/** Events read at once: a slow reader holds no more than this. */
const BATCH = 200
/** Should all news be lost, a reader is this late. */
const POLL_MS = 1_000
/**
 * An event's position in its thread: the millisecond in which its run began, and its number in the run. Runs of one
 * thread follow each other, and none writes 2,048 events in a millisecond, so positions rise; they are safe integers
 * until 2109.
 */
const PER_MS = 2_048

export interface ThreadPorts {
  events: EventLog
  live: LiveEvents
  runs: Runs
  signals: Signals
}

/** An event of one of the thread's runs. */
export interface ThreadEvent extends StartedRun {
  seq: number
  event: string
  data: string
  /** An end that stands in no table: the run is gone, or was cancelled while nobody executed it. */
  cut?: true
}

export function positionIn({ startedAt, seq }: Pick<ThreadEvent, 'startedAt' | 'seq'>): number {
  return startedAt.getTime() * PER_MS + seq
}

export interface ThreadReader<T> {
  /** What comes next in the table; `undefined` where there is nothing yet. */
  read(): Promise<T[] | undefined>
  /** Returns when there may be more, after `timeoutMs`, or when `signal` aborts. */
  news(options: { timeoutMs: number; signal: AbortSignal }): Promise<void>
  close(): void
}

interface RunInHand extends StartedRun {
  last: number
  reader: LiveReader
  ended: boolean
  /** Something of it was told, and its end was not. */
  open: boolean
}

/**
 * The events of all runs of a thread, in order, from the table alone: no matter which process executes them, or how
 * many have. `map` leaves out what it returns `undefined` for. The thread need not exist yet. `from`: the event after
 * which to begin; unset: at the first. A run of which something was told is always told the end of: one that is rolled
 * back, or deleted with its thread, takes its events with it, and gets an end that is `cut`.
 */
export function readThread<T>(
  { events, live, runs, signals }: ThreadPorts,
  threadId: string,
  map: (event: ThreadEvent) => T | undefined,
  from?: StartedRun & { seq: number },
): ThreadReader<T> {
  const watch = signals.watch(topics.thread(threadId))
  const take = ({ runId, startedAt, v2 }: StartedRun, last: number): RunInHand => ({
    runId,
    startedAt,
    v2,
    last,
    reader: live.subscribe(runId),
    ended: false,
    open: false,
  })
  let run = from && take(from, from.seq)
  const readRun = async () => {
    if (run === undefined) return []
    // Asked before the events are read: an ended run writes no more, so what is read then is all of it.
    const status = await runs.status(threadId, run.runId)
    run.ended = status === undefined || isEnded(status)
    const batch = await events.read(threadId, run.runId, run.last, BATCH)
    run.last = batch.at(-1)?.seq ?? run.last
    const { runId, startedAt, v2 } = run
    const told = batch.map(({ event, data, seq }) => map({ runId, startedAt, v2, seq, event, data }))
    if (batch.length > 0)
      run.open = batch.at(-1)?.event !== END_EVENT && (run.open || told.some((item) => item !== undefined))
    return told
  }
  const cutOff = ({ runId, startedAt, v2, last }: RunInHand) =>
    map({ runId, startedAt, v2, seq: last + 1, event: END_EVENT, data: 'null', cut: true })
  return {
    async read() {
      for (;;) {
        const batch = await readRun()
        if (batch.length > 0) return batch.filter((item) => item !== undefined)
        if (run !== undefined && !run.ended) return undefined
        if (run?.open) {
          run.open = false
          const end = cutOff(run)
          if (end !== undefined) return [end]
        }
        const next = await events.nextRun(threadId, run)
        if (next === undefined) return undefined
        run?.reader.close()
        run = take(next, -1)
      }
    },
    async news({ timeoutMs, signal }) {
      const waitMs = Math.min(timeoutMs, POLL_MS)
      if (run === undefined || run.ended) await watch.changed({ timeoutMs: waitMs, signal })
      else await run.reader.next({ timeoutMs: waitMs, signal })
    },
    close() {
      watch.close()
      run?.reader.close()
    },
  }
}

/** The last event that is committed. */
export async function lastEventOf(
  events: EventLog,
  threadId: string,
): Promise<(StartedRun & { seq: number }) | undefined> {
  const run = await events.lastRun(threadId)
  if (run === undefined) return undefined
  const last = await events.last(threadId, run.runId)
  return { ...run, seq: last?.seq ?? 0 }
}
