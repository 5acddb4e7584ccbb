import type { Json } from '../runtime/json.ts'
import { type StateLimits, StateTooLarge } from '../runtime/state-limits.ts'
import { Checkpointer, isInternal } from './checkpointer.ts'
import { type Database, jsonb } from './database.ts'

const LOCK = `
  select exists (
    select 1 from holds where holds.thread_id = threads.thread_id and holds.status = 'pending'
  ) as held
  from threads where thread_id = $1 for share`

// What waited for a person in the original waits there: a hold is bound to its thread. The copy asks for its own.
const THREAD = `
  insert into threads (thread_id, tenant_id, metadata, config, "values", interrupts, paused, error, status, ttl_minutes, ttl_strategy)
  select $2, tenant_id, coalesce($4::jsonb, metadata), config, "values",
    case when $3 then '{}'::jsonb else interrupts end, paused, error,
    case when error is not null then 'error' when paused then 'interrupted' else 'idle' end,
    ttl_minutes, ttl_strategy
  from threads where thread_id = $1`

// One statement, and so one moment of the thread: a run of it goes on meanwhile, and what it stores next refers to chunks
// that a copy of before would not have.
const STATES = `
  with stored as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, state, refs, metadata)
    select $2, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, state, refs,
      case when metadata ? 'thread_id' then metadata || jsonb_build_object('thread_id', $2::text) else metadata end
    from checkpoints where thread_id = $1
    order by position
  ), blobs as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select $2, checkpoint_ns, channel, version, type, blob from checkpoint_blobs where thread_id = $1
  ), chunks as (
    insert into checkpoint_chunks (thread_id, hash, body, bytes, refs)
    select $2::uuid, hash, body, bytes, refs from checkpoint_chunks where thread_id = $1::uuid
  )
  insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, packed, refs)
  select $2, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, packed, refs
  from checkpoint_writes
  where thread_id = $1 and not ($3 and channel = '__interrupt__')`

// What a model has read is in the copy's messages as well.
const READINGS = `
  insert into untrusted_reads (thread_id, source) select $2, source from untrusted_reads where thread_id = $1`

/**
 * A new thread with the checkpoints of the other, and with its metadata unless there is other; false where that does not
 * exist. Runs stay behind.
 */
export async function copyThread(
  db: Database,
  from: string,
  to: string,
  { metadata, limits }: { metadata: Record<string, Json> | undefined; limits: StateLimits },
): Promise<boolean> {
  if (limits.over === 'error') await checkHead(db, from, limits)
  return await db.transaction(async (client) => {
    const { rows } = await client.query<{ held: boolean }>(LOCK, [from])
    const [thread] = rows
    if (thread === undefined) return false
    await client.query(THREAD, [from, to, thread.held, metadata === undefined ? null : jsonb(metadata)])
    await client.query(STATES, [from, to, thread.held])
    await client.query(READINGS, [from, to])
    return true
  })
}

/** What was stored before there was the limit is not stored again. */
async function checkHead(db: Database, threadId: string, limits: StateLimits): Promise<void> {
  const saver = new Checkpointer(db)
  const head = await saver.getTuple({ configurable: { thread_id: threadId } })
  for (const [channel, value] of Object.entries(head?.checkpoint.channel_values ?? {})) {
    if (isInternal(channel)) continue
    for (const part of Array.isArray(value) ? (value as unknown[]) : [value]) {
      const [, bytes] = await saver.serde.dumpsTyped(part)
      if (bytes.length > limits.bytes)
        throw new StateTooLarge(`A value of channel ${channel}`, bytes.length, limits)
    }
  }
}
