import type { LiveHub } from '../runtime/live-events.ts'
import type { Signals, Watch } from '../runtime/ports.ts'
import { type Database, prepared, type Queryable } from './database.ts'

/** What every process listens to. */
export const CHANNEL = 'holdpoint'

const NOTIFY = prepared(`select pg_notify('${CHANNEL}', topic) from unnest($1::text[]) as topic`)

/** Tells every waiting process, when the surrounding transaction commits. Carries only the topic (NOTIFY's limit is 8,000 bytes). */
export async function notify(client: Queryable, ...topics: string[]): Promise<void> {
  await client.query(NOTIFY, [topics])
}

interface Waiter extends Watch {
  wake(): void
}

/** NOTIFY, handed to whoever watches the topic, and to the readers of events. After a gap in the connection everybody is woken. */
export async function createSignals(db: Database, live: LiveHub): Promise<Signals> {
  const waiters = new Map<string, Set<Waiter>>()
  await db.listen(
    CHANNEL,
    (topic) => {
      waiters.get(topic)?.forEach((waiter) => waiter.wake())
      live.hear(topic)
    },
    () => {
      waiters.forEach((set) => set.forEach((waiter) => waiter.wake()))
      live.missed()
    },
  )
  return {
    watch(topic) {
      const waiter = createWaiter(() => {
        const set = waiters.get(topic)
        set?.delete(waiter)
        if (set?.size === 0) waiters.delete(topic)
      })
      const set = waiters.get(topic) ?? new Set()
      waiters.set(topic, set.add(waiter))
      return waiter
    },
  }
}

/** Remembers a signal that came while nobody was waiting, so that none falls between a read and the next wait. */
function createWaiter(close: () => void): Waiter {
  let signalled = false
  let resume: (() => void) | undefined
  return {
    wake() {
      signalled = true
      resume?.()
    },
    async changed({ timeoutMs, signal }) {
      if (!signalled && signal?.aborted !== true) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(done, timeoutMs)
          function done() {
            clearTimeout(timer)
            signal?.removeEventListener('abort', done)
            resume = undefined
            resolve()
          }
          resume = done
          signal?.addEventListener('abort', done, { once: true })
        })
      }
      signalled = false
    },
    close,
  }
}
