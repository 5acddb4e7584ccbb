import { CronNotFired, type ScheduledCron } from './cron.ts'
import type { Crons, Log, Signals } from './ports.ts'
import { topics } from './topics.ts'
import type { StartRequest } from './start-run.ts'

/** Should a signal be lost, a cron that is new or changed is this late. */
const POLL_MS = 30_000
/** What is due and not to be had is another server's, or its thread is locked: for milliseconds. */
const LOCKED_MS = 100
/** How long a cron is left alone whose run could be neither started nor refused. */
const ASIDE_MS = 5_000

export interface SchedulerPorts {
  crons: Crons
  signals: Signals
  log: Log
  /** The run that is due. Waits for nothing; throws a `RuntimeError` where it cannot be. */
  startOf: (cron: ScheduledCron) => StartRequest
}

/** Starts the runs of crons when they are due. Any number of servers may: each due time is one server's. */
export function startScheduler(ports: SchedulerPorts): { close(): Promise<void> } {
  const stop = new AbortController()
  const scheduling = schedule(ports, stop.signal)
  return {
    async close() {
      stop.abort()
      await scheduling
    },
  }
}

async function schedule(ports: SchedulerPorts, signal: AbortSignal): Promise<void> {
  const watch = ports.signals.watch(topics.crons)
  /** Until when, by this process's own clock. */
  const aside = new Map<string, number>()
  try {
    while (!signal.aborted) {
      for (const [cronId, until] of aside) if (until <= performance.now()) aside.delete(cronId)
      const timeoutMs = await fireAll(ports, aside, signal).catch((error: unknown) => {
        ports.log.warn('Crons that are due could not be read; asking again', { cause: String(error) })
        return ASIDE_MS
      })
      await watch.changed({ timeoutMs, signal })
    }
  } finally {
    watch.close()
  }
}

/** Starts what is due, one after the other, and returns in how many milliseconds something will be. */
async function fireAll(
  { crons, log, startOf }: SchedulerPorts,
  aside: Map<string, number>,
  signal: AbortSignal,
): Promise<number> {
  for (let more = true; more && !signal.aborted;) {
    try {
      const fired = await crons.fire(startOf, [...aside.keys()])
      more = fired !== undefined
      if (fired !== undefined && 'missed' in fired) {
        const { due, error, message: cause } = fired.missed
        log.warn('A cron could not start its run; its next time counts', {
          cron_id: fired.cron_id,
          due,
          error,
          cause,
        })
      }
    } catch (error) {
      // One must not keep the others waiting, nor be asked without end.
      if (!(error instanceof CronNotFired)) throw error
      aside.set(error.cronId, performance.now() + ASIDE_MS)
      log.error('A cron could not start its run; trying again', {
        cron_id: error.cronId,
        cause: String(error.cause),
      })
    }
  }
  const seconds = await crons.nextIn([...aside.keys()])
  const next = seconds === undefined ? POLL_MS : seconds > 0 ? Math.ceil(seconds * 1_000) : LOCKED_MS
  return Math.min(POLL_MS, next, aside.size > 0 ? ASIDE_MS : POLL_MS)
}
