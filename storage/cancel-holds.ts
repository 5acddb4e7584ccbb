import { topics } from '../runtime/topics.ts'
import { prepared, type Transaction } from './database.ts'
import { REVOKED } from './grants.ts'
import { type Granted, recordRevoked } from './record-of-grants.ts'
import { type Cause, HELD, type Held, recordCancelled, type Who } from './record-of-holds.ts'
import { CHANNEL } from './signals.ts'

// A call that was released while its message waited for other words can be used no more: no run came of it, and none
// will. What a run was made of stays, however that run ends, but where new input comes instead (`$3`): then what has not
// begun is withdrawn, or an older checkpoint could still run it. A run that is being stopped keeps its word, and can do
// nothing with it: marked as cancelled, its end would ask for it again.
const UNBEGUN = `not exists (
      select 1 from effects e
      where e.thread_id = h.thread_id and e.message_id = h.message_id and e.call_id = h.call_id
    )`

const CANCEL = prepared(`
  with cancelled as (
    update holds h set status = 'cancelled', released_hash = null, decided_at = now(), cancelled_by = $4
    where thread_id = $1 and not (interrupt_id = any($2)) and (
      status = 'pending'
      or $3 and kind = 'tool' and status in ('approved', 'edited') and ${UNBEGUN} and not exists (
        select 1 from runs r where r.thread_id = $1 and r.run_id = h.resumed_run_id and r.status = 'running'
      )
    )
    returning ${HELD}, pg_notify('${CHANNEL}', '${topics.hold('')}' || approval_id)
  ), revoked as (
    delete from grants g
    where g.thread_id = $1 and g.consumed_at is null and exists (
      select 1 from holds h
      where h.thread_id = $1 and h.approval_id = g.approval_id and not (h.interrupt_id = any($2))
        and (h.resumed_run_id is null or $3 and ${UNBEGUN})
    )
    returning ${REVOKED}
  )
  select to_json(cancelled) as held, null as released from cancelled
  union all
  select null, to_json(revoked) from revoked`)

interface Cancel {
  /** The interrupts whose holds are left alone. */
  waiting?: string[]
  who: Who
  cause: Cause
  /** The run that comes instead. */
  run?: string
}

/** What waited for a person does so no longer. */
export async function cancelHolds(
  client: Transaction,
  threadId: string,
  { waiting = [], who, cause, run }: Cancel,
): Promise<void> {
  const { rows } = await client.query<{ held: Held | null; released: Granted | null }>(CANCEL, [
    threadId,
    waiting,
    cause === 'new_input',
    run ?? null,
  ])
  const held = rows.flatMap((row) => row.held ?? [])
  const released = rows.flatMap((row) => row.released ?? [])
  recordCancelled(client, held, who, cause)
  recordRevoked(client, threadId, released, who, cause)
}
