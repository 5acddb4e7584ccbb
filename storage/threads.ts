import { RuntimeError } from '../runtime/errors.ts'
import type { Threads } from '../runtime/ports.ts'
import type { Thread, ThreadFilter } from '../runtime/thread.ts'
import { type Database, jsonb, type Queryable } from './database.ts'
import { notify } from './signals.ts'

const COLUMNS =
  'thread_id, status, metadata, config, "values", interrupts, error, created_at, updated_at, state_updated_at'

const CREATE = `
  insert into threads (thread_id, metadata) values ($1, $2::jsonb)
  on conflict (thread_id) do nothing
  returning ${COLUMNS}`

const GET = `select ${COLUMNS} from threads where thread_id = $1`

const PATCH = `
  update threads set metadata = metadata || $2::jsonb, updated_at = now()
  where thread_id = $1
  returning ${COLUMNS}`

const CANCEL_HOLDS = `
  update holds set status = 'cancelled', decided_at = now()
  where thread_id = $1 and status = 'pending'`

const IDLE_TEMPORARY = `
  temporary and status in ('idle', 'error') and updated_at < $1
  and not exists (select 1 from runs r where r.thread_id = threads.thread_id and r.status in ('pending', 'running'))`

const DELETE_RUNS = 'delete from runs where thread_id = $1 returning run_id'
const DELETE_EVENTS = 'delete from events where thread_id = $1'
const DELETE_THREAD = 'delete from threads where thread_id = $1'
const DELETE_CHECKPOINTS = ['checkpoint_writes', 'checkpoint_blobs', 'checkpoints'].map(
  (table) => `delete from ${table} where thread_id = $1::text`,
)

interface Row extends Omit<Thread, 'created_at' | 'updated_at' | 'state_updated_at'> {
  created_at: Date
  updated_at: Date
  state_updated_at: Date
  total?: unknown
}

export function createThreads(db: Database): Threads {
  const get = async (threadId: string) => {
    const { rows } = await db.query<Row>(GET, [threadId])
    return rows[0] && toThread(rows[0])
  }
  return {
    get,
    async create({ thread_id, metadata, ifExists }) {
      const { rows } = await db.query<Row>(CREATE, [thread_id, jsonb(metadata)])
      if (rows[0]) return toThread(rows[0])
      const existing = ifExists === 'do_nothing' ? await get(thread_id) : undefined
      if (existing) return existing
      throw new RuntimeError(
        'thread_exists',
        `Thread ${thread_id} already exists. Use it, or create one with another id.`,
      )
    },
    async search(filter) {
      const { rows } = await db.query<Row>(searchSql(filter), [
        filter.ids ?? null,
        jsonb(filter.metadata ?? {}),
        filter.values === undefined ? null : jsonb(filter.values),
        filter.status ?? null,
        filter.limit,
        filter.offset,
      ])
      return { items: rows.map(toThread), total: Number(rows[0]?.total ?? 0) }
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
          if (locked.rows.length > 0) await removeThread(client, threadId)
          return locked.rows.length > 0
        })
        if (gone) ended.push(threadId)
      }
      return ended
    },
    delete: (threadId) =>
      db.transaction(async (client) => {
        // Locked first, as everywhere: whoever starts or ends a run of this thread waits here.
        const { rows } = await client.query('select 1 from threads where thread_id = $1 for update', [
          threadId,
        ])
        if (rows.length === 0) return false
        await removeThread(client, threadId)
        return true
      }),
  }
}

/** The thread's row is locked. */
async function removeThread(client: Queryable, threadId: string): Promise<void> {
  await client.query(CANCEL_HOLDS, [threadId])
  const runs = await client.query<{ run_id: string }>(DELETE_RUNS, [threadId])
  await client.query(DELETE_EVENTS, [threadId])
  for (const sql of DELETE_CHECKPOINTS) await client.query(sql, [threadId])
  await client.query(DELETE_THREAD, [threadId])
  const gone = runs.rows.flatMap(({ run_id }) => [`run:${run_id}`, `cancel:${run_id}`])
  if (gone.length > 0) await notify(client, ...gone)
}

function searchSql({ sort_by, sort_order }: ThreadFilter): string {
  return `
    select ${COLUMNS}, count(*) over () as total from threads
    where not temporary
      and ($1::uuid[] is null or thread_id = any($1))
      and metadata @> $2::jsonb
      and ($3::jsonb is null or "values" @> $3::jsonb)
      and ($4::text is null or status = $4)
    order by ${sort_by} ${sort_order}, thread_id ${sort_order}
    limit $5 offset $6`
}

function toThread({ total: _, ...row }: Row): Thread {
  return {
    ...row,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    state_updated_at: row.state_updated_at.toISOString(),
  }
}
