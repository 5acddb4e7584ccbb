import type { EffectStatus } from '../runtime/effect.ts'
import { RuntimeError } from '../runtime/errors.ts'
import { failpoint } from '../runtime/failpoint.ts'
import {
  answerOf,
  type Decision,
  type EditedArgs,
  type Hold,
  type RecordedDecision,
  STATUS_AFTER,
} from '../runtime/hold.ts'
import { newId } from '../runtime/ids.ts'
import { type Json, toJson } from '../runtime/json.ts'
import type { Holds } from '../runtime/ports.ts'
import { topics } from '../runtime/topics.ts'
import type { RunRequest } from '../runtime/run.ts'
import { type Database, jsonb, type Queryable, type Transaction } from './database.ts'
import { HOLD_COLUMNS, type HoldRow, holdsOfInterrupts, toHold } from './hold-row.ts'
import { recordSettled } from './record-of-effects.ts'
import {
  HELD,
  type Held,
  person,
  recordDecided,
  recordExpired,
  recordReopened,
  SYSTEM,
  type Who,
} from './record-of-holds.ts'
import { notify } from './signals.ts'
import { queuedSql } from './thread-status.ts'

// What a person's word on a call in doubt makes of its effect. Another lease's effect is not what the person was asked of.
const SETTLE_DOUBT = `
  update effects set status = $5, outcome = $6::json, ended_at = case when $5 = 'retry' then null else now() end
  where thread_id = $1 and message_id = $2 and call_id = $3 and args_hash = $4 and status = 'intended'
  returning effect, key`

// A decision whose run is dropped before it carried it out is asked for again, and with it what was said of a call in
// doubt: else a word that was taken back would still count. What has happened meanwhile stays.
const REOPEN = `
  with again as (
    update holds set status = 'pending', released_hash = null, resumed_run_id = null, decided_at = null
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

const GET = `select ${HOLD_COLUMNS}, expires_at <= clock_timestamp() as is_over from holds where approval_id = $1`

const LOCK_THREAD = `
  select 1 from threads where thread_id = (select thread_id from holds where approval_id = $1) for update`

const DECIDE = `
  update holds
  set status = $2, decisions = $3::json, released_hash = $4, needs = coalesce($5::jsonb, needs), decided_at = now()
  where approval_id = $1 and status = 'pending'
  returning ${HOLD_COLUMNS}`

const EXPIRE = `
  update holds set status = 'expired', decided_at = now()
  where approval_id = $1 and status = 'pending'
  returning ${HOLD_COLUMNS}`

const RESUME = `
  with paused as (
    select tenant_id, assistant_id, request, metadata from runs where thread_id = $1 and run_id = $2
  )
  insert into runs (thread_id, run_id, tenant_id, assistant_id, ahead, request, metadata, multitask_strategy)
  select $1, $3, tenant_id, assistant_id, true, $4::json, metadata, 'enqueue' from paused`

const PAUSED_REQUEST = 'select request from runs where thread_id = $1 and run_id = $2'

const RESUMED = 'update holds set resumed_run_id = $3 where thread_id = $1 and interrupt_id = $2'

const QUEUED = queuedSql()

/** A decision by itself, and the run that goes on where it was the last that its message waited for. */
export function decideHold(
  db: Database,
  ...[approvalId, decision, by, edited]: Parameters<Holds['decide']>
): Promise<Hold> {
  return db.transaction(async (client) => {
    await client.query(LOCK_THREAD, [approvalId])
    const hold = await recordDecision(client, approvalId, decision, by, edited)
    const resumed = await resumeIfComplete(client, hold)
    await failpoint('hold.decide:before')
    return resumed
  })
}

/** Ends a pending hold. The caller has locked its thread. Throws `hold_not_found` and `hold_decided`. */
export async function recordDecision(
  client: Transaction,
  approvalId: string,
  decision: Decision,
  by: string,
  edited: EditedArgs | undefined,
): Promise<Hold> {
  const { rows } = await client.query<HoldRow>(GET, [approvalId])
  const [row] = rows
  if (row === undefined) throw new RuntimeError('hold_not_found', `Approval ${approvalId} does not exist.`)
  if (row.status === 'pending' && row.is_over === true) {
    throw new RuntimeError(
      'hold_decided',
      `Approval ${approvalId} expired at ${row.expires_at?.toISOString()}.`,
    )
  }
  if (row.status !== 'pending') {
    throw new RuntimeError(
      'hold_decided',
      `Approval ${approvalId} is already ${row.status}. Nothing was changed.`,
    )
  }
  const recorded: RecordedDecision = {
    type: decision.type,
    ...(edited === undefined ? {} : { args: edited.args }),
    ...(decision.message === undefined ? {} : { message: decision.message }),
    by,
    at: new Date().toISOString(),
  }
  const released = decision.type === 'approve' ? row.args_hash : (edited?.hash ?? null)
  const decided = await client.query<HoldRow>(DECIDE, [
    approvalId,
    STATUS_AFTER[decision.type],
    JSON.stringify([...row.decisions, recorded]),
    released,
    edited === undefined ? null : jsonb(edited.needs),
  ])
  if (decided.rows[0] === undefined)
    throw new RuntimeError('hold_decided', `Approval ${approvalId} was decided meanwhile.`)
  const hold = toHold(decided.rows[0])
  await recordDecided(client, { ...hold, released_hash: released }, by, {
    type: decision.type,
    message: decision.message,
    editedHash: edited?.hash,
  })
  if (!(await settleDoubt(client, hold, person(by))) && hold.status !== 'approved') {
    throw new RuntimeError(
      'hold_decided',
      `What became of the call is known meanwhile (GET /threads/${hold.thread_id}/effects). Approve to go on with it.`,
    )
  }
  await notify(client, topics.hold(approvalId))
  return hold
}

/** Writes a decided doubt into the effect ledger, where the executor will read it. False where there is none any more. */
async function settleDoubt(client: Transaction, hold: Hold, who: Who): Promise<boolean> {
  if (hold.kind !== 'in_doubt') return true
  const said = hold.decisions.at(-1)?.message
  const happened = { status: 'ok', result: { answered_by: 'person', message: said ?? '' } }
  const [status, outcome]: [EffectStatus, Json] =
    hold.status === 'approved'
      ? ['retry', null]
      : hold.status === 'responded'
        ? ['done', happened]
        : ['skipped', null]
  const { rows } = await client.query<{ effect: string; key: string }>(SETTLE_DOUBT, [
    hold.thread_id,
    hold.message_id,
    hold.call_id,
    hold.args_hash,
    status,
    outcome === null ? null : JSON.stringify(outcome),
  ])
  for (const { effect, key } of rows) recordSettled(client, hold, who, { effect, key, status, outcome })
  return rows.length > 0
}

/** Where this was the message's last open hold, queues the run that goes on, before everything else of the thread. */
async function resumeIfComplete(client: Queryable, hold: Hold): Promise<Hold> {
  const holds = await holdsOfInterrupts(client, hold.thread_id, [hold.interrupt_id])
  if (holds.some(({ status }) => status === 'pending')) return hold
  const { rows } = await client.query<{ request: RunRequest }>(PAUSED_REQUEST, [hold.thread_id, hold.run_id])
  const [paused] = rows
  if (paused === undefined) throw new Error(`Run ${hold.run_id}, which paused at the hold, is gone.`)
  const request: RunRequest = {
    ...paused.request,
    input: null,
    command: { resume: { [hold.interrupt_id]: toJson(answerOf(holds)) } },
    checkpoint: null,
  }
  const runId = newId()
  await client.query(RESUME, [hold.thread_id, hold.run_id, runId, JSON.stringify(request)])
  await client.query(RESUMED, [hold.thread_id, hold.interrupt_id, runId])
  await client.query(QUEUED, [hold.thread_id])
  return { ...hold, resumed_run_id: runId }
}

/** False where it was decided meanwhile. */
export function expireHold(db: Database, approvalId: string): Promise<boolean> {
  return db.transaction(async (client) => {
    await client.query(LOCK_THREAD, [approvalId])
    const { rows } = await client.query<HoldRow>(EXPIRE, [approvalId])
    if (rows[0] === undefined) return false
    await notify(client, topics.hold(approvalId))
    await recordExpired(client, rows[0])
    await settleDoubt(client, toHold(rows[0]), SYSTEM)
    await resumeIfComplete(client, toHold(rows[0]))
    return true
  })
}

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
}
