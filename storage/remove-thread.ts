import { topics } from '../runtime/topics.ts'
import type { Transaction } from './database.ts'
import { REVOKED } from './grants.ts'
import { type Granted, recordRevoked } from './record-of-grants.ts'
import { HELD, type Held, recordCancelled, type Who } from './record-of-holds.ts'
import { notify } from './signals.ts'

const CANCEL_HOLDS = `
  with open as (
    select approval_id from holds where thread_id = $1 and status = 'pending'
  ), ended as (
    update holds set released_hash = null,
      status = case status when 'pending' then 'cancelled' else status end,
      decided_at = coalesce(decided_at, now())
    where thread_id = $1
    returning ${HELD}
  )
  select ended.* from ended join open using (approval_id)`

/**
 * Whether an id, `$1`, is nobody's. A deleted thread's approvals and effects stay as its record: they would be those of
 * whoever took its id again.
 */
export const UNUSED = `
  not exists (select 1 from holds h where h.thread_id = $1)
  and not exists (select 1 from effects e where e.thread_id = $1)`

const REVOKE = `delete from grants where thread_id = $1 and consumed_at is null returning ${REVOKED}`
const DELETE_RUNS = 'delete from runs where thread_id = $1 returning run_id'
const DELETE_EVENTS = 'delete from events where thread_id = $1'
const DELETE_OBSERVATIONS = ['untrusted_reads', 'refused_calls'].map(
  (table) => `delete from ${table} where thread_id = $1`,
)
const DELETE_THREAD = 'delete from threads where thread_id = $1'
const DELETE_CHECKPOINTS = [
  ...['checkpoint_writes', 'checkpoint_blobs', 'checkpoints', 'checkpoint_garbage'].map(
    (table) => `delete from ${table} where thread_id = $1::text`,
  ),
  'delete from checkpoint_chunks where thread_id = $1::uuid',
]

/** Deletes the thread, whose row is locked, with all that is its own. Its effects and decisions stay, and release nothing more. */
export async function removeThread(client: Transaction, threadId: string, who: Who): Promise<void> {
  const held = await client.query<Held & Record<string, unknown>>(CANCEL_HOLDS, [threadId])
  recordCancelled(client, held.rows, who, 'thread_deleted')
  const revoked = await client.query<Granted & Record<string, unknown>>(REVOKE, [threadId])
  recordRevoked(client, threadId, revoked.rows, who, 'thread_deleted')
  // Whom it concerns is also asked of the thread, which is gone soon.
  await client.tell()
  const runs = await client.query<{ run_id: string }>(DELETE_RUNS, [threadId])
  await client.query(DELETE_EVENTS, [threadId])
  for (const sql of [...DELETE_CHECKPOINTS, ...DELETE_OBSERVATIONS]) await client.query(sql, [threadId])
  await client.query(DELETE_THREAD, [threadId])
  const gone = runs.rows.flatMap(({ run_id: id }) => [topics.run(id), topics.cancel(id)])
  if (gone.length > 0) await notify(client, ...gone)
}
