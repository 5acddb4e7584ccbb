import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { z } from 'zod'
import { newId } from '../runtime/ids.ts'
import type { LiveEvents, LiveHub } from '../runtime/live-events.ts'
import type { Log } from '../runtime/ports.ts'
import { topics } from '../runtime/topics.ts'

/** Entries that the stream keeps, about. A process that is further behind than that reads the table. */
const KEEP = 10_000
/** Seconds after its last event that the stream of a database is dropped. */
const EXPIRE = 3_600
/** Characters of JSON; a larger batch is announced alone. */
const MAX_BATCH = 256 * 1024
/** Characters under way to a Redis that does not answer; beyond that batches are not sent at all. */
const MAX_UNDER_WAY = 8 * 1024 * 1024
/** Of an entry without events, about. */
const ENTRY_SIZE = 256
const CONNECT_TIMEOUT_MS = 3_000
/** How long a read waits for an entry. A connection that is silent for three times as long is replaced. */
const BLOCK_MS = 5_000
const ENTRIES = 100
const RETRY_MS = 100
const MAX_RETRY_MS = 3_000

const Entry = z.object({
  run: z.string(),
  from: z.coerce.number().int().min(0),
  through: z.coerce.number().int().min(0),
  events: z.string().optional(),
})
const Events = z.array(z.object({ event: z.string(), data: z.string() }))

export interface RedisEvents extends LiveEvents {
  /** For people: `Redis at cache.example:6379`. */
  description: string
  close(): void
}

interface RedisOptions {
  url: string
  /** The same for every process on the same database, and for no other. */
  database: string
  hub: LiveHub
  log: Log
}

/**
 * Carries live events between processes through one Redis Stream for each database. Redis may be away, at the start or
 * at any time: then this carries nothing, says so once, and tries again.
 */
export async function openRedisEvents({ url, database, hub, log }: RedisOptions): Promise<RedisEvents> {
  const description = `Redis at ${place(url)}`
  const [stream, sender] = [`holdpoint:events:${database}`, newId()]
  const [writer, reader] = [connect(url), connect(url)]
  const send = createSender(writer, stream, sender)
  const listening = listen(reader, stream, {
    take: (message) => message['sender'] !== sender && dispatch(message, hub),
    failed: (cause) =>
      log.warn(`${description} does not answer; events go through PostgreSQL alone until it does`, { cause }),
    back: () => log.info(`${description} answers again`),
  })
  await listening.tried
  return {
    description,
    subscribe: hub.subscribe,
    followed: hub.followed,
    publish(runId, from, events) {
      hub.publish(runId, from, events)
      if (events.length === 0) return
      const text = JSON.stringify(events.map(({ event, data }) => ({ event, data })))
      const through = String(from + events.length - 1)
      const announced = { run: runId, from: String(from), through }
      send(text.length > MAX_BATCH ? announced : { ...announced, events: text })
    },
    close() {
      listening.stop()
      writer.destroy()
      reader.destroy()
    },
  }
}

type Client = ReturnType<typeof connect>

function connect(url: string) {
  const client = createClient({
    url,
    // A command that finds no connection fails at once: nobody waits for Redis.
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
    socket: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: 3 * BLOCK_MS,
      reconnectStrategy: (retries) => Math.min(RETRY_MS * 2 ** retries, MAX_RETRY_MS),
    },
    pingInterval: BLOCK_MS,
  })
  // Told once by `listen`, whose commands fail with it; without a listener it would end the process.
  client.on('error', () => {})
  client.connect().catch(() => {})
  return client
}

/** Sends entries without waiting for them. What cannot be sent is dropped: readers find it in the table. */
function createSender(client: Client, stream: string, sender: string) {
  let underWay = 0
  return (fields: Record<string, string>) => {
    const size = ENTRY_SIZE + (fields['events']?.length ?? 0)
    if (underWay + size > MAX_UNDER_WAY) return
    underWay += size
    const trim = { strategy: 'MAXLEN', strategyModifier: '~', threshold: KEEP } as const
    const added = client.xAdd(stream, '*', { sender, ...fields }, { TRIM: trim })
    Promise.all([added, client.expire(stream, EXPIRE)])
      .catch(() => {})
      .finally(() => {
        underWay -= size
      })
  }
}

/** Hands on every entry from now on, over a connection that comes back when it breaks. `tried` is there after the first try. */
function listen(
  client: Client,
  stream: string,
  on: { take: (message: Record<string, string>) => void; failed: (cause: string) => void; back: () => void },
): { tried: Promise<void>; stop: () => void } {
  const stopped = new AbortController()
  const { promise: tried, resolve } = Promise.withResolvers<void>()
  let away = false

  const read = async () => {
    // Rejects with the cause when the next try to connect fails.
    if (!client.isReady) await once(client, 'ready', { signal: stopped.signal })
    // Not from where it was: a Redis that was restarted numbers afresh, and readers have been at the table meanwhile.
    const newest = await client.xRevRange(stream, '+', '-', { COUNT: 1 })
    let at = newest?.[0]?.id ?? '0-0'
    if (away) on.back()
    away = false
    resolve()
    for (;;) {
      const replies = await client.xRead({ key: stream, id: at }, { BLOCK: BLOCK_MS, COUNT: ENTRIES })
      for (const { id, message } of replies?.[0]?.messages ?? []) {
        at = id
        on.take(message)
      }
    }
  }
  const run = async () => {
    for (;;) {
      const error: unknown = await read().catch((cause: unknown) => cause)
      if (stopped.signal.aborted) return
      if (!away) on.failed(reasonOf(error))
      away = true
      resolve()
      await sleep(RETRY_MS, undefined, { signal: stopped.signal }).catch(() => {})
    }
  }
  void run()
  return { tried, stop: () => stopped.abort() }
}

/** An entry that this version does not understand is left to the table. */
function dispatch(message: Record<string, string>, hub: LiveHub): void {
  const entry = Entry.safeParse(message)
  if (!entry.success || !hub.hasReaders(entry.data.run)) return
  const { run, from, through, events } = entry.data
  const batch = events === undefined ? undefined : Events.safeParse(parsed(events))
  if (batch?.success) hub.publish(run, from, batch.data)
  else hub.hear(topics.events(run, through))
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function reasonOf(error: unknown): string {
  // A refused connection to a name with two addresses has no message of its own.
  return String(error instanceof AggregateError ? error.errors[0] : error)
}

/** Host and port, without the password. */
function place(url: string): string {
  const { hostname, port } = new URL(url)
  return `${hostname}:${port || '6379'}`
}
