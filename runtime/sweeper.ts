import type { Clock, EventLog, Holds, Log, Threads } from './ports.ts'
import type { Workspaces } from './workspaces.ts'

/** No expired hold waits longer than a minute past its time. */
const EVERY_MS = 20_000
/** How long the thread of a stateless run stays, for those who still read its end. */
const TEMPORARY_MS = 60_000
const DAY_MS = 86_400_000

export interface SweeperPorts {
  holds: Holds
  events: EventLog
  threads: Threads
  workspaces: Workspaces
}

/** Ends and deletes what is past its time. Any number of servers may sweep: each thing is ended once. */
export function startSweeper(
  { holds, events, threads, workspaces }: SweeperPorts,
  { clock, log, eventDays }: { clock: Clock; log: Log; eventDays: number },
): { close(): Promise<void> } {
  let sweeping: Promise<void> = Promise.resolve()
  const sweep = async () => {
    try {
      const now = await clock()
      await holds.expire(now)
      for (const threadId of await threads.endTemporary(new Date(now.getTime() - TEMPORARY_MS)))
        await workspaces.clear(threadId)
      await events.prune(new Date(now.getTime() - eventDays * DAY_MS))
    } catch (error) {
      log.error('What is past its time could not be ended; trying again', { cause: String(error) })
    }
  }
  const timer = setInterval(() => {
    sweeping = sweep()
  }, EVERY_MS)
  return {
    async close() {
      clearInterval(timer)
      await sweeping
    },
  }
}
