import type { Clock, EventLog, Holds, Log, StoreItems, Threads } from './ports.ts'
import type { Workspaces } from './workspaces.ts'
import type { Webhooks } from './webhook.ts'

/** No expired hold waits longer than a minute past its time. */
const EVERY_MS = 20_000
/** How long the thread of a stateless run stays, for those who still read its end. */
const TEMPORARY_MS = 60_000
const DAY_MS = 86_400_000

export interface SweeperPorts {
  holds: Holds
  events: EventLog
  store: StoreItems
  threads: Threads
  webhooks: Webhooks
  workspaces: Workspaces
}

/** Ends and deletes what is past its time. Any number of servers may sweep: each thing is ended once. */
export function startSweeper(
  { holds, events, store, threads, webhooks, workspaces }: SweeperPorts,
  { clock, log, eventDays }: { clock: Clock; log: Log; eventDays: number },
): { close(): Promise<void> } {
  let sweeping: Promise<void> = Promise.resolve()
  const steps: ((now: Date) => Promise<unknown>)[] = [
    (now) => holds.expire(now),
    async (now) => {
      for (const threadId of await threads.endTemporary(new Date(now.getTime() - TEMPORARY_MS)))
        await workspaces.clear(threadId)
    },
    async (now) => {
      for (const { threadId, strategy } of await threads.expired(now)) {
        const pruned = await threads.prune(threadId, strategy, { expiredAt: now })
        if (pruned && strategy === 'delete') await workspaces.clear(threadId)
      }
    },
    () => threads.collect(),
    (now) => store.deleteExpired(now),
    (now) => webhooks.prune(now),
    (now) => events.prune(new Date(now.getTime() - eventDays * DAY_MS)),
  ]
  const sweep = async () => {
    // What one step cannot end keeps the others from nothing.
    for (const step of steps) {
      try {
        await step(await clock())
      } catch (error) {
        log.error('What is past its time could not be ended; trying again', { cause: String(error) })
      }
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
