import { topics } from '../runtime/topics.ts'
import { prepared, type Transaction } from './database.ts'
import { type Cause, HELD, type Held, recordCancelled, type Who } from './record-of-holds.ts'
import { CHANNEL } from './signals.ts'

const CANCEL = prepared(`
  update holds set status = 'cancelled', decided_at = now()
  where thread_id = $1 and status = 'pending' and not (interrupt_id = any($2))
  returning ${HELD}, pg_notify('${CHANNEL}', '${topics.hold('')}' || approval_id)`)

/** What waited for a person does so no longer, but for the holds of the interrupts in `waiting`. */
export async function cancelHolds(
  client: Transaction,
  threadId: string,
  { waiting = [], who, cause }: { waiting?: string[]; who: Who; cause: Cause },
): Promise<void> {
  const { rows } = await client.query<Held & Record<string, unknown>>(CANCEL, [threadId, waiting])
  recordCancelled(client, rows, who, cause)
}
