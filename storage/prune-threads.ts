import type { PruneStrategy } from '../runtime/thread.ts'
import type { Database, Queryable } from './database.ts'
import { personOrUs } from './record-of-holds.ts'
import { removeThread } from './remove-thread.ts'

const AT_REST = `
  not exists (select 1 from runs r where r.thread_id = threads.thread_id and r.status in ('pending', 'running'))`

// A thread whose older checkpoints are gone already has nothing more to lose, and one that somebody is asked about waits. One
// that a cron still runs on is not deleted.
const past = (now: string) => `
  ttl_minutes is not null and updated_at + make_interval(secs => ttl_minutes * 60) < ${now}
  and (ttl_strategy = 'delete' or exists (
    select 1 from checkpoints c
    where c.thread_id = threads.thread_id::text and c.checkpoint_ns = '' and c.parent_checkpoint_id is not null
  ))
  and ${AT_REST}
  and not exists (
    select 1 from holds h where h.thread_id = threads.thread_id and h.status = 'pending'
  )
  and (ttl_strategy <> 'delete' or not exists (
    select 1 from crons c where c.thread_id = threads.thread_id and c.next_run_date is not null
  ))`

const LOCK = `select status from threads where thread_id = $1 and ${AT_REST} for update`
// The row is locked by now: what others did to the thread since it was listed is seen, and nothing more comes.
const STILL_PAST = `select 1 from threads where thread_id = $1 and ${past('$2')}`

// The subgraphs of steps that are over are read by nobody: their names carry their tasks' ids.
const KEEP_LATEST = `
  with kept as (
    select distinct on (checkpoint_ns) checkpoint_ns, checkpoint_id, checkpoint
    from checkpoints
    where thread_id = $1 and ($2 or checkpoint_ns not like '%:%')
    order by checkpoint_ns, position desc
  ), gone as (
    delete from checkpoints c
    where thread_id = $1 and not exists (
      select 1 from kept where kept.checkpoint_ns = c.checkpoint_ns and kept.checkpoint_id = c.checkpoint_id
    )
    returning checkpoint_ns, checkpoint_id
  ), writes_gone as (
    delete from checkpoint_writes w using gone
    where w.thread_id = $1 and w.checkpoint_ns = gone.checkpoint_ns and w.checkpoint_id = gone.checkpoint_id
  ), blobs_gone as (
    delete from checkpoint_blobs b
    where thread_id = $1 and not exists (
      select 1 from kept
      where kept.checkpoint_ns = b.checkpoint_ns and kept.checkpoint -> 'channel_versions' ->> b.channel = b.version
    )
  ), first as (
    update checkpoints c set parent_checkpoint_id = null from kept
    where c.thread_id = $1 and c.checkpoint_ns = kept.checkpoint_ns and c.checkpoint_id = kept.checkpoint_id
  )
  select 1 from gone limit 1`

const EXPIRED = `select thread_id, ttl_strategy as strategy from threads where ${past('$1')} limit 100`

/**
 * Deletes the thread, or what it was before its latest state. False where it is not there, or a run of it has not ended,
 * or with `expiredAt` where its time is not over.
 */
export function pruneThread(
  db: Database,
  threadId: string,
  strategy: PruneStrategy,
  expiredAt?: Date,
  by?: string,
): Promise<boolean> {
  return db.transaction(async (client) => {
    const { rows } = await client.query<{ status: string }>(LOCK, [threadId])
    const [thread] = rows
    if (thread === undefined) return false
    if (expiredAt !== undefined) {
      const past = await client.query(STILL_PAST, [threadId, expiredAt])
      if (past.rows.length === 0) return false
    }
    if (strategy === 'delete') await removeThread(client, threadId, personOrUs(by))
    else await client.query(KEEP_LATEST, [threadId, thread.status !== 'idle'])
    return true
  })
}

/** The threads whose time is over. */
export async function expiredThreads(
  db: Queryable,
  now: Date,
): Promise<{ threadId: string; strategy: PruneStrategy }[]> {
  const { rows } = await db.query<{ thread_id: string; strategy: PruneStrategy }>(EXPIRED, [now])
  return rows.map(({ thread_id: threadId, strategy }) => ({ threadId, strategy }))
}
