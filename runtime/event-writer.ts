import type { NewEvent } from './event.ts'
import { LeaseLost } from './lease.ts'
import type { EventLog, LiveEvents } from './ports.ts'
import type { ClaimedRun } from './run.ts'

/** Events that may wait for the database before the run waits for it. */
const MAX_WAITING = 1_000

export interface EventWriter {
  /** Returns when there is room for more. */
  push(events: NewEvent[]): Promise<void>
  /** Waits for what is being written; returns what is not, for the transaction that ends the run. */
  finish(): Promise<{ from: number; list: NewEvent[] }>
}

/**
 * Numbers a run's events and commits them in batches: the first at once, the next while the last is being written.
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

  const write = async () => {
    while (waiting.length > 0 && !dead) {
      const batch = waiting
      waiting = []
      try {
        if (!(await log.append(run, next, batch))) throw new LeaseLost(run.run_id)
        live.publish(run.run_id, next, batch)
        next += batch.length
      } catch (error) {
        dead = true
        options.failed(error instanceof Error ? error : new Error(String(error)))
      }
    }
    writing = undefined
  }
  return {
    async push(events) {
      if (dead) return
      waiting.push(...events)
      writing ??= write()
      if (waiting.length > MAX_WAITING) await writing
    },
    async finish() {
      const list = waiting
      waiting = []
      await writing
      return { from: next, list }
    },
  }
}
