import type { Transaction } from './database.ts'
import { revokeGrants } from './grants.ts'
import { type Cause, HELD, type Held, recordReopened, type Who } from './record-of-holds.ts'

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

// What a run has taken away by coming, and still stands in the thread. `$3`: the interrupts that wait there, null where
// the thread's row says so.
const REOPEN_TAKEN = `
  with again as (
    update holds h
    set status = 'pending', votes = '[]', proposal = null, resumed_run_id = null, decided_at = null,
      cancelled_by = null
    from threads t
    where h.thread_id = $1 and t.thread_id = $1 and h.status = 'cancelled' and h.cancelled_by = any($2)
      and case when $3::text[] is null
        then jsonb_path_exists(t.interrupts, '$.*[*] ? (@.id == $id)', jsonb_build_object('id', h.interrupt_id))
        else h.interrupt_id = any($3) end
    returning h.*
  )
  select ${HELD} from again`

const TAKE_OVER = `
  update holds set cancelled_by = $2
  where thread_id = $1 and cancelled_by in (
    select run_id from runs where thread_id = $1 and status in ('pending', 'running')
  )`

// Another run may have gone past the pause meanwhile, or still will: its end says what waits then.
const HAND_ON = `
  with next as (
    select run_id from runs
    where thread_id = $1 and not run_id = any($2)
      and (status = 'running' or (status = 'pending' and multitask_strategy in ('interrupt', 'rollback')))
    order by status desc limit 1
  )
  update holds set cancelled_by = next.run_id from next where thread_id = $1 and cancelled_by = any($2)`

/** What runs have taken away that have not ended yet, this one does now. */
export async function takeAway(client: Transaction, threadId: string, runId: string): Promise<void> {
  await client.query(TAKE_OVER, [threadId, runId])
}

/** These runs are no more, or are over, and have left the thread where it waits for people: they are asked again. */
export async function reopenTaken(
  client: Transaction,
  threadId: string,
  runIds: string[],
  { who, cause, waiting }: { who: Who; cause: Cause; waiting?: string[] },
): Promise<void> {
  if (waiting === undefined) await client.query(HAND_ON, [threadId, runIds])
  const { rows } = await client.query<Held & Record<string, unknown>>(REOPEN_TAKEN, [
    threadId,
    runIds,
    waiting ?? null,
  ])
  recordReopened(client, rows, who, cause)
}

/** What these runs were to carry out, or have taken away, waits again. */
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
  await reopenTaken(client, threadId, runIds, { who, cause })
}
