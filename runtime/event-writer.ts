import type { NewEvent } from './event.ts'
import { LeaseLost } from './lease.ts'
import type { LiveEvents } from './live-events.ts'
import type { EventLog } from './ports.ts'
import type { ClaimedRun } from './run.ts'

/** Between two batches of a run: tokens that come quicker are one statement, however quick the database is or slow. */
const BATCH_MS = { first: 5, least: 10, most: 100 }
/** The same, of a run that people here only wait for: whoever reads it in another process is this late. */
const AWAITED_MS = 500
/** Events that do not wait for that. */
const FULL_BATCH = 200
/** Events that may wait for the database before the run waits for it. */
const MAX_WAITING = 1_000

export interface EventWriter {
  /** Returns when there is room for more. */
  push(events: NewEvent[]): Promise<void>
  /** Waits for what is being written; returns what is not, for the transaction that ends the run. */
  finish(): Promise<{ from: number; list: NewEvent[] }>
}

/**
 * Numbers a run's events and commits them in batches: the first at once where somebody here reads it, each next one after
 * a pause of twice the time that the last one took, so that a busy database gets fewer and larger ones. Where people here
 * only wait for the run, most of its events travel with its end.
 * Nobody sees an event before its batch is committed, so that a takeover never gives its number to another.
 */
export function createEventWriter(
  { events: log, live }: { events: EventLog; live: LiveEvents },
  run: ClaimedRun,
  options: { from: number; failed: (error: Error) => void },
): EventWriter {
  let next = options.from
  let waiting: NewEvent[] = []
  let writing: Promise<void> | undefined
  let dead = false
  const { promise: finished, resolve: finishing } = Promise.withResolvers<void>()
  let full = Promise.withResolvers<void>()
  let runWaits = false
  const rest = (ms: number) =>
    live.followed(run.run_id) === 'waits' && !runWaits
      ? pause(AWAITED_MS, Promise.race([finished, full.promise]))
      : pause(ms, finished)

  const write = async () => {
    if (next === options.from) await rest(live.followed(run.run_id) === 'reads' ? 0 : BATCH_MS.first)
    while (waiting.length > 0 && !dead) {
      const began = performance.now()
      const batch = waiting
      waiting = []
      full = Promise.withResolvers()
      try {
        if (!(await log.append(run, next, batch))) throw new LeaseLost(run.run_id)
        live.publish(run.run_id, next, batch)
        next += batch.length
      } catch (error) {
        dead = true
        options.failed(error instanceof Error ? error : new Error(String(error)))
      }
      const twice = 2 * (performance.now() - began)
      await rest(Math.min(BATCH_MS.most, Math.max(BATCH_MS.least, twice)))
    }
    writing = undefined
  }
  return {
    async push(events) {
      // A writer that is started with nothing to write would end before it is known to have begun.
      if (dead || events.length === 0) return
      waiting.push(...events)
      writing ??= write()
      if (waiting.length >= FULL_BATCH) full.resolve()
      if (waiting.length <= MAX_WAITING) return
      runWaits = true
      await writing
      runWaits = false
    },
    async finish() {
      const list = waiting
      waiting = []
      finishing()
      await writing
      return { from: next, list }
    },
  }
}

/** Waits `ms`, or until `cut`. */
async function pause(ms: number, cut: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await Promise.race([promise, cut])
  clearTimeout(timer)
}
