import { type Audit, auditKeys } from '../runtime/audit.ts'
import { createLiveHub, type LiveEvents, type LiveHub } from '../runtime/live-events.ts'
import { type DecisionLinks, linkKey } from '../runtime/decision-link.ts'
import type { Checkpoints } from '../runtime/checkpoints.ts'
import type {
  Assistants,
  Clock,
  Crons,
  Effects,
  Emptied,
  EventLog,
  Holds,
  Log,
  Metrics,
  PolicyVersions,
  Queue,
  Runs,
  Signals,
  StoreItems,
  Threads,
} from '../runtime/ports.ts'
import type { People } from '../runtime/people.ts'
import type { StateLimits } from '../runtime/state-limits.ts'
import type { ThreadTtl } from '../runtime/thread.ts'
import type { WebhookEndpoints, Webhooks } from '../runtime/webhook.ts'
import { type Adopted, type Adoption, adoptThreads } from './adopt-threads.ts'
import { createAudit } from './audit.ts'
import { createAssistants } from './assistants.ts'
import { createCheckpoints } from './checkpoints.ts'
import { connect, type Place, secretOf } from './connect.ts'
import { createCrons } from './crons.ts'
import { type Connection, type Database, identityOf } from './database.ts'
import { createDecisionLinks } from './decision-links.ts'
import { createEffects } from './effects.ts'
import { createEventLog } from './events.ts'
import { createHolds } from './holds.ts'
import { createMetrics } from './metrics.ts'
import { createPeople } from './people.ts'
import { migrate } from './migrate.ts'
import { createPolicyVersions } from './policy-versions.ts'
import { createQueue } from './queue.ts'
import { beginRecord, withRecord } from './record.ts'
import { createRuns } from './runs.ts'
import { createSignals } from './signals.ts'
import { createStoreItems } from './store.ts'
import { createThreads } from './threads.ts'
import { truncate } from './truncate.ts'
import { createWebhookEndpoints } from './webhook-endpoints.ts'
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
  store: StoreItems
  crons: Crons
  webhooks: Webhooks
  webhookEndpoints: WebhookEndpoints
  metrics: Metrics
  people: People
  links: DecisionLinks
  /** Makes threads of what PostgresSaver stored in the database. */
  adopt(adoption: Adoption): Promise<Adopted>
  /** Empties tables, for tests. */
  truncate(what: readonly Emptied[]): Promise<void>
  audit: Audit
  policyVersions: PolicyVersions
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
export async function openStorage(
  options: Place & {
    /** Says when an item of the store is past its time, and when a cron is due; unset, the database does. */
    clock?: Clock | undefined
    /** How long threads stay that say nothing of it; unset: for ever. */
    threadTtl?: ThreadTtl | undefined
    /** How large what a state has may be; unset: the usual. */
    stateLimits?: StateLimits | undefined
    /** What may carry live events between the processes on PostgreSQL. */
    redis?: { url: string; log: Log } | undefined
  },
): Promise<Storage> {
  const connection = await connect(options)
  try {
    await migrate(connection)
    const secret = await secretOf(options)
    await beginRecord(connection, secret)
    const db = withRecord(connection, auditKeys(secret))
    // No other process can be on an embedded database: every lease in it is a dead process's.
    if (db.embedded) await db.query('delete from workers')
    const hub = createLiveHub()
    const signals = await createSignals(db, hub)
    return storageOver(db, signals, await openFanOut(db, hub, options.redis), {
      ...options,
      linkKey: linkKey(secret),
    })
  } catch (error) {
    await connection.close()
    throw error
  }
}

interface FanOut {
  live: LiveEvents
  description: string
  close(): void
}

async function openFanOut(
  db: Connection,
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

function storageOver(
  db: Database,
  signals: Signals,
  fanOut: FanOut,
  {
    clock,
    threadTtl,
    stateLimits,
    linkKey: key,
  }: {
    clock?: Clock | undefined
    threadTtl?: ThreadTtl | undefined
    stateLimits?: StateLimits | undefined
    linkKey: Buffer
  },
): Storage {
  return {
    description: db.description,
    assistants: createAssistants(db),
    threads: createThreads(db, threadTtl, stateLimits),
    runs: createRuns(db, threadTtl),
    queue: createQueue(db),
    events: createEventLog(db),
    effects: createEffects(db),
    holds: createHolds(db),
    checkpoints: createCheckpoints(db, threadTtl, stateLimits),
    signals,
    store: createStoreItems(db, clock),
    crons: createCrons(db, { clock, threadTtl }),
    webhooks: createWebhooks(db),
    webhookEndpoints: createWebhookEndpoints(db),
    metrics: createMetrics(db),
    people: createPeople(db),
    links: createDecisionLinks(db, key),
    adopt: (adoption) => adoptThreads(db, adoption, stateLimits),
    truncate: (what) => truncate(db, what),
    audit: createAudit(db),
    policyVersions: createPolicyVersions(db),
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
