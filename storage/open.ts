import { createLiveHub, type LiveHub } from '../runtime/live-events.ts'
import type {
  Assistants,
  Checkpoints,
  Effects,
  EventLog,
  Holds,
  LiveEvents,
  Log,
  Queue,
  Runs,
  Signals,
  Threads,
  Webhooks,
} from '../runtime/ports.ts'
import { createAssistants } from './assistants.ts'
import { createCheckpoints } from './checkpointer.ts'
import { type Database, identityOf } from './database.ts'
import { createEffects } from './effects.ts'
import { createEventLog } from './events.ts'
import { createHolds } from './holds.ts'
import { migrate } from './migrate.ts'
import { openPglite } from './pglite.ts'
import { openPostgres } from './postgres.ts'
import { createQueue } from './queue.ts'
import { createRuns } from './runs.ts'
import { createSignals } from './signals.ts'
import { createThreads } from './threads.ts'
import { createWebhooks } from './webhooks.ts'

export interface Storage {
  description: string
  assistants: Assistants
  threads: Threads
  runs: Runs
  queue: Queue
  events: EventLog
  effects: Effects
  holds: Holds
  checkpoints: Checkpoints
  signals: Signals
  webhooks: Webhooks
  live: LiveEvents
  /** What carries events between processes. */
  fanOut: string
  /** Whether the database answers. */
  ping(): Promise<boolean>
  /** What time it is for the database. */
  now(): Promise<Date>
  close(): Promise<void>
}

/** Opens PostgreSQL, or the embedded database where no URL is given, and brings its schema up to date. */
export async function openStorage(options: {
  databaseUrl: string | undefined
  dataDir: string
  poolSize: number
  connectTimeoutMs: number
  /** What may carry live events between the processes on PostgreSQL. */
  redis?: { url: string; log: Log } | undefined
}): Promise<Storage> {
  const db =
    options.databaseUrl === undefined
      ? await openPglite(options.dataDir)
      : await openPostgres(options.databaseUrl, options)
  try {
    await migrate(db)
    // No other process can be on an embedded database: every lease in it is a dead process's.
    if (db.embedded) await db.query('delete from workers')
    const hub = createLiveHub()
    const signals = await createSignals(db, hub)
    return storageOver(db, signals, await openFanOut(db, hub, options.redis))
  } catch (error) {
    await db.close()
    throw error
  }
}

interface FanOut {
  live: LiveEvents
  description: string
  close(): void
}

async function openFanOut(
  db: Database,
  hub: LiveHub,
  redis: { url: string; log: Log } | undefined,
): Promise<FanOut> {
  if (redis === undefined) return { live: hub, description: 'PostgreSQL', close() {} }
  if (db.embedded) {
    redis.log.warn('REDIS_URL is not used: one process alone can be on the embedded database')
    return { live: hub, description: 'this process', close() {} }
  }
  // It takes half a second to load, and few need it.
  const { openRedisEvents } = await import('./redis-events.ts')
  const live = await openRedisEvents({ ...redis, database: await identityOf(db), hub })
  return { live, description: `${live.description}, and PostgreSQL when it is away`, close: live.close }
}

function storageOver(db: Database, signals: Signals, fanOut: FanOut): Storage {
  return {
    description: db.description,
    assistants: createAssistants(db),
    threads: createThreads(db),
    runs: createRuns(db),
    queue: createQueue(db),
    events: createEventLog(db),
    effects: createEffects(db),
    holds: createHolds(db),
    checkpoints: createCheckpoints(db),
    signals,
    webhooks: createWebhooks(db),
    live: fanOut.live,
    fanOut: fanOut.description,
    async now() {
      const { rows } = await db.query<{ now: Date }>('select clock_timestamp() as now')
      return rows[0]?.now ?? new Date()
    },
    ping: () =>
      db.query('select 1').then(
        () => true,
        () => false,
      ),
    close() {
      fanOut.close()
      return db.close()
    },
  }
}
