import type { Database, Queryable, Transaction } from './database.ts'

const BATCH = 5_000

// Those that are in use come to it later, and must not stand in the others' way; nor those that are no thread's.
const THREADS = `
  select g.thread_id from checkpoint_garbage g join threads t
    on t.thread_id = case when g.thread_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then g.thread_id::uuid end
  where not exists (select 1 from runs r where r.thread_id = t.thread_id and r.status = 'running')
  limit 100`

const LOCK = 'select 1 from threads where thread_id = $1 for update skip locked'
// Asked after the lock is ours: a run that was claimed while we waited is seen.
const IN_USE = "select 1 from runs where thread_id = $1 and status = 'running'"

const COLLECT = `
  with recursive needed as (
    (
      select unnest(refs) as hash from checkpoints where thread_id = $1::text
      union
      select unnest(refs) from checkpoint_writes where thread_id = $1::text
    )
    union
    select unnest(c.refs) from needed
    join checkpoint_chunks c on c.thread_id = $1::uuid and c.hash = needed.hash
  ), gone as (
    delete from checkpoint_chunks c
    where thread_id = $1::uuid and hash = any(array(
      select hash from checkpoint_chunks where thread_id = $1::uuid
      except all select hash from needed
      limit $2
    ))
    returning 1
  )
  select count(*)::integer as n from gone`

const CLEAN = 'delete from checkpoint_garbage where thread_id = $1'

/**
 * Deletes chunks that no checkpoint needs any more, a batch at a time. A chunk that is deleted here is never one that
 * somebody writes about to: chunks are written under the fence of a running run, or under the lock of the thread's row,
 * and here that lock is held while no run of the thread is running. Whoever writes afterwards knows of no chunk but
 * those of checkpoints that it read since.
 */
export async function collectChunks(db: Database): Promise<number> {
  const { rows } = await db.query<{ thread_id: string }>(THREADS)
  let collected = 0
  for (const { thread_id: threadId } of rows) {
    let deleted: number
    do {
      deleted = await db.transaction((client) => collectBatch(client, threadId))
      collected += deleted
    } while (deleted === BATCH)
  }
  return collected
}

async function collectBatch(client: Transaction, threadId: string): Promise<number> {
  const { rows } = await client.query(LOCK, [threadId])
  if (rows.length === 0 || (await client.query(IN_USE, [threadId])).rows.length > 0) return 0
  return await collectIn(client, threadId)
}

/** One batch of the thread's, whose row is locked, and of which no run is running. */
export async function collectIn(client: Queryable, threadId: string): Promise<number> {
  const { rows } = await client.query<{ n: number }>(COLLECT, [threadId, BATCH])
  const deleted = rows[0]?.n ?? 0
  if (deleted < BATCH) await client.query(CLEAN, [threadId])
  return deleted
}
