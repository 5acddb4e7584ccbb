import { RuntimeError } from '../runtime/errors.ts'
import type { Threads } from '../runtime/ports.ts'
import { DEFAULT_LIMITS, type StateLimits } from '../runtime/state-limits.ts'
import type { Thread, ThreadFilter, ThreadTtl } from '../runtime/thread.ts'
import { allowedSql } from './allowed.ts'
import { collectChunks } from './collect-chunks.ts'
import { copyThread } from './copy-thread.ts'
import { type Database, jsonb, prepared } from './database.ts'
import { expiredThreads, pruneThread } from './prune-threads.ts'
import { storageOf } from './thread-storage.ts'
import { personOrUs, SYSTEM } from './record-of-holds.ts'
import { removeThread, UNUSED } from './remove-thread.ts'

const COLUMNS =
  'thread_id, status, metadata, config, "values", interrupts, error, created_at, updated_at, state_updated_at'

const CREATE = prepared(`
  insert into threads (thread_id, metadata, ttl_minutes, ttl_strategy, tenant_id)
  select $1::uuid, $2::jsonb, $3::double precision, $4, $5 where ${UNUSED}
  on conflict (thread_id) do nothing
  returning ${COLUMNS}`)

const GET = prepared(`select ${COLUMNS} from threads where thread_id = $1`)

const PATCH = `
  update threads set metadata = metadata || $2::jsonb, updated_at = now()
  where thread_id = $1
  returning ${COLUMNS}`

const IDLE_TEMPORARY = `
  temporary and status <> 'busy' and updated_at < $1
  and not exists (select 1 from holds h where h.thread_id = threads.thread_id and h.status = 'pending')
  and not exists (select 1 from runs r where r.thread_id = threads.thread_id and r.status in ('pending', 'running'))`

const ALLOWS = `select 1 from threads where thread_id = $1 and ${allowedSql('$2', 'threads')}`

const SET_TTL =
  'update threads set ttl_minutes = $2, ttl_strategy = $3, updated_at = now() where thread_id = $1'

const TTL = `
  select ttl_strategy as strategy, ttl_minutes, updated_at + make_interval(secs => ttl_minutes * 60) as expires_at
  from threads where thread_id = $1 and ttl_minutes is not null`

const MATCHES = `
  not temporary
  and ($1::uuid[] is null or thread_id = any($1))
  and metadata @> $2::jsonb
  and ($3::jsonb is null or "values" @> $3::jsonb)
  and ($4::text is null or status = $4)
  and ${allowedSql('$5', 'threads')}`

const COUNT = `select count(*)::integer as n from threads where ${MATCHES}`

interface Row extends Omit<Thread, 'created_at' | 'updated_at' | 'state_updated_at'> {
  created_at: Date
  updated_at: Date
  state_updated_at: Date
  total?: unknown
}

/** `usual`: of threads that are created without one of their own. */
export function createThreads(
  db: Database,
  usual?: ThreadTtl,
  limits: StateLimits = DEFAULT_LIMITS,
): Threads {
  const get = async (threadId: string) => {
    const { rows } = await db.query<Row>(GET, [threadId])
    return rows[0] && toThread(rows[0])
  }
  return {
    get,
    async create({ thread_id, tenant, metadata, ttl = usual, ifExists }) {
      const { rows } = await db.query<Row>(CREATE, [
        thread_id,
        jsonb(metadata),
        ttl?.ttl_minutes ?? null,
        ttl?.strategy ?? null,
        tenant,
      ])
      if (rows[0]) return toThread(rows[0])
      const existing = ifExists === 'do_nothing' ? await get(thread_id) : undefined
      if (existing) return existing
      throw new RuntimeError(
        'thread_exists',
        `Thread ${thread_id} already exists, or did. Use it, or create one with another id.`,
      )
    },
    async search(filter) {
      const { rows } = await db.query<Row>(searchSql(filter), [
        ...matching(filter),
        filter.limit,
        filter.offset,
      ])
      return { items: rows.map(toThread), total: Number(rows[0]?.total ?? 0) }
    },
    async count(filter) {
      const { rows } = await db.query<{ n: number }>(COUNT, matching(filter))
      return rows[0]?.n ?? 0
    },
    async setTtl(threadId, ttl) {
      await db.query(SET_TTL, [threadId, ttl.ttl_minutes, ttl.strategy])
    },
    async ttl(threadId) {
      const { rows } = await db.query<ThreadTtl & { expires_at: Date }>(TTL, [threadId])
      return rows[0] && { ...rows[0], expires_at: rows[0].expires_at.toISOString() }
    },
    async copy(from, to, metadata) {
      return (await copyThread(db, from, to, { metadata, limits })) ? await get(to) : undefined
    },
    prune: (threadId, strategy, options) => pruneThread(db, threadId, strategy, options),
    collect: () => collectChunks(db),
    expired: (now) => expiredThreads(db, now),
    storage: (threadId) => storageOf(db, threadId),
    async allows(threadId, allowed) {
      const { rows } = await db.query(ALLOWS, [threadId, jsonb(allowed)])
      return rows.length > 0
    },
    async patch(threadId, metadata) {
      const { rows } = await db.query<Row>(PATCH, [threadId, jsonb(metadata)])
      return rows[0] && toThread(rows[0])
    },
    async ofAssistant(assistantId) {
      const { rows } = await db.query<{ thread_id: string }>(
        'select thread_id from threads where metadata @> $1::jsonb',
        [jsonb({ assistant_id: assistantId })],
      )
      return rows.map(({ thread_id: threadId }) => threadId)
    },
    async endTemporary(before) {
      const { rows } = await db.query<{ thread_id: string }>(
        `select thread_id from threads where ${IDLE_TEMPORARY} limit 100`,
        [before],
      )
      const ended: string[] = []
      for (const { thread_id: threadId } of rows) {
        const gone = await db.transaction(async (client) => {
          // Asked again under the lock: somebody may have begun a run on it meanwhile.
          const locked = await client.query(
            `select 1 from threads where ${IDLE_TEMPORARY} and thread_id = $2 for update skip locked`,
            [before, threadId],
          )
          if (locked.rows.length > 0) await removeThread(client, threadId, SYSTEM)
          return locked.rows.length > 0
        })
        if (gone) ended.push(threadId)
      }
      return ended
    },
    delete: (threadId, by) =>
      db.transaction(async (client) => {
        // Locked first, as everywhere: whoever starts or ends a run of this thread waits here.
        const { rows } = await client.query('select 1 from threads where thread_id = $1 for update', [
          threadId,
        ])
        if (rows.length === 0) return false
        await removeThread(client, threadId, personOrUs(by))
        return true
      }),
  }
}

function matching(filter: Omit<ThreadFilter, 'limit' | 'offset' | 'sort_by' | 'sort_order'>): unknown[] {
  return [
    filter.ids ?? null,
    jsonb(filter.metadata ?? {}),
    filter.values === undefined ? null : jsonb(filter.values),
    filter.status ?? null,
    jsonb(filter.allowed ?? {}),
  ]
}

function searchSql({ sort_by, sort_order }: ThreadFilter): string {
  return `
    select ${COLUMNS}, count(*) over () as total from threads
    where ${MATCHES}
    order by ${sort_by} ${sort_order}, thread_id ${sort_order}
    limit $6 offset $7`
}

function toThread({ total: _, ...row }: Row): Thread {
  return {
    ...row,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    state_updated_at: row.state_updated_at.toISOString(),
  }
}
