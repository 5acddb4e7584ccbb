import type { Transaction } from './database.ts'
import { revokeGrants } from './grants.ts'
import { HELD, type Held, recordReopened, type Who } from './record-of-holds.ts'

// A decision whose run is dropped before it carried it out is asked for again, and with it what was said of a call in
// doubt: else a word that was taken back would still count. What has happened meanwhile stays.
const REOPEN = `
  with again as (
    update holds set status = 'pending', released_hash = null, votes = '[]', proposal = null, resumed_run_id = null, decided_at = null
    where thread_id = $1 and resumed_run_id = any($2)
    returning *
  ), in_doubt_again as (
    update effects e set status = 'intended', outcome = null, ended_at = null
    from again
    where again.kind = 'in_doubt' and e.thread_id = $1 and e.message_id = again.message_id
      and e.call_id = again.call_id and e.args_hash = again.args_hash
      and (e.status in ('retry', 'skipped') or e.outcome #>> '{result,answered_by}' = 'person')
  )
  select ${HELD} from again`

/** What these runs were to carry out waits again. */
export async function reopenHolds(
  client: Transaction,
  threadId: string,
  runIds: string[],
  who: Who,
  cause: 'run_dropped' | 'run_rolled_back',
): Promise<void> {
  const { rows } = await client.query<Held & Record<string, unknown>>(REOPEN, [threadId, runIds])
  recordReopened(client, rows, who, cause)
  const approvals = rows.map(({ approval_id }) => approval_id)
  await revokeGrants(client, threadId, approvals, { who, cause })
}
