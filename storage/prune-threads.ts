import type { PruneOptions, PruneStrategy } from '../runtime/thread.ts'
import { collectIn } from './collect-chunks.ts'
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
      and not c.metadata ? 'counters_since_delta_snapshot'
  ))
  and ${AT_REST}
  and not exists (
    select 1 from holds h where h.thread_id = threads.thread_id and h.status = 'pending'
  )
  and (ttl_strategy <> 'delete' or not exists (
    select 1 from crons c where c.thread_id = threads.thread_id and c.next_run_date is not null
  ))`

const LOCK = 'select status from threads where thread_id = $1 for update'
// The row is locked by now: what others did to the thread since it was listed is seen, and nothing more comes.
const STILL_AT_REST = `select 1 from threads where thread_id = $1 and ${AT_REST}`
const STILL_PAST = `select 1 from threads where thread_id = $1 and ${past('$2')}`

// A checkpoint is kept with those before it that its channels are replayed from (`DeltaChannel`). The subgraphs of steps
// that are over are read by nobody, once their steps are gone: their names carry their tasks' ids. While the thread waits
// for somebody, the newest state of each is what goes on.
const KEEP = `
  with recursive placed as (
    select checkpoint_ns, checkpoint_id, position, coalesce(state::json ->> 1, checkpoint ->> 'ts') as ts,
      row_number() over (partition by checkpoint_ns order by position desc) as place
    from checkpoints where thread_id = $1
  ), since as (
    select min(position) as position from placed
    where checkpoint_ns = '' and (place <= $3::integer or ts::timestamptz >= $4::timestamptz)
  ), replayed as (
    select exists (
      select 1 from checkpoints where thread_id = $1 and metadata ? 'counters_since_delta_snapshot'
    ) as found
  ), chosen as (
    select checkpoint_ns, checkpoint_id from placed, since
    where (place = 1 and ($2 or checkpoint_ns not like '%:%'))
      or (placed.position >= since.position and ($3 > 1 or $4 is not null))
  ), kept as (
    select c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint, c.metadata
    from chosen join checkpoints c on c.thread_id = $1 and c.checkpoint_ns = chosen.checkpoint_ns
      and c.checkpoint_id = chosen.checkpoint_id
    union
    select c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint, c.metadata
    from kept join checkpoints c on c.thread_id = $1 and c.checkpoint_ns = kept.checkpoint_ns
      and c.checkpoint_id = kept.parent_checkpoint_id
    where kept.metadata ? 'counters_since_delta_snapshot'
      or (kept.metadata ->> 'source' in ('update', 'fork') and (select found from replayed))
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
      and not exists (
        select 1 from kept parent
        where parent.checkpoint_ns = c.checkpoint_ns and parent.checkpoint_id = c.parent_checkpoint_id
      )
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
  { expiredAt, by, keep = {} }: PruneOptions = {},
): Promise<boolean> {
  return db.transaction(async (client) => {
    const { rows } = await client.query<{ status: string }>(LOCK, [threadId])
    const [thread] = rows
    if (thread === undefined) return false
    if ((await client.query(STILL_AT_REST, [threadId])).rows.length === 0) return false
    if (expiredAt !== undefined) {
      const past = await client.query(STILL_PAST, [threadId, expiredAt])
      if (past.rows.length === 0) return false
    }
    if (strategy === 'delete') await removeThread(client, threadId, personOrUs(by))
    else {
      await client.query(KEEP, [threadId, thread.status !== 'idle', keep.last ?? 1, keep.since ?? null])
      await collectIn(client, threadId)
    }
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
