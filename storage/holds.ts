import { RuntimeError } from '../runtime/errors.ts'
import { failpoint } from '../runtime/failpoint.ts'
import {
  answerOf,
  type Decision,
  type Hold,
  type HoldFilter,
  type RecordedDecision,
  STATUS_AFTER,
} from '../runtime/hold.ts'
import { newId } from '../runtime/ids.ts'
import { toJson } from '../runtime/json.ts'
import { type EditedArgs, type Holds, topics } from '../runtime/ports.ts'
import type { RunRequest } from '../runtime/run.ts'
import type { Database, Queryable } from './database.ts'
import { notify } from './signals.ts'

const COLUMNS = `thread_id, approval_id, run_id, assistant_id, interrupt_id, kind, message_id, call_id, tool, args,
  args_hash, risk, reason, status, decisions, resumed_run_id, created_at, expires_at, decided_at`

const GET = `select ${COLUMNS}, expires_at <= clock_timestamp() as is_over from holds where approval_id = $1`

const SEARCH = `
  select ${COLUMNS}, count(*) over () as total from holds
  where ($1::text is null or status = $1)
    and ($2::uuid is null or thread_id = $2)
    and ($3::text is null or tool = $3)
  order by created_at desc, approval_id
  limit $4 offset $5`

const OF_INTERRUPTS = `
  select ${COLUMNS} from holds where thread_id = $1 and interrupt_id = any($2) order by created_at, approval_id`

const RELEASED = `
  select released_hash from holds
  where thread_id = $1 and message_id = $2 and call_id = $3 and kind = 'tool' and status in ('approved', 'edited')`

// What a person's word on a call in doubt makes of its effect. Another lease's effect is not what the person was asked of.
const SETTLE_DOUBT = `
  update effects set status = $5, outcome = $6::json, ended_at = case when $5 = 'retry' then null else now() end
  where thread_id = $1 and message_id = $2 and call_id = $3 and args_hash = $4 and status = 'intended'`

const LOCK_THREAD = `
  select 1 from threads where thread_id = (select thread_id from holds where approval_id = $1) for update`

const DECIDE = `
  update holds
  set status = $2, decisions = $3::json, released_hash = $4, decided_at = now()
  where approval_id = $1 and status = 'pending'
  returning ${COLUMNS}`

const EXPIRED = `
  select approval_id from holds where status = 'pending' and expires_at <= $1 order by expires_at limit 100`

const RESUME = `
  with paused as (
    select assistant_id, request, metadata from runs where thread_id = $1 and run_id = $2
  )
  insert into runs (thread_id, run_id, assistant_id, ahead, request, metadata, multitask_strategy)
  select $1, $3, assistant_id, true, $4::json, metadata, 'enqueue' from paused`

const PAUSED_REQUEST = 'select request from runs where thread_id = $1 and run_id = $2'

const RESUMED = 'update holds set resumed_run_id = $3 where thread_id = $1 and interrupt_id = $2'

const THREAD_BUSY = `
  update threads
  set updated_at = now(), status = case
    when exists (select 1 from holds where thread_id = $1 and status = 'pending') then status
    else 'busy' end
  where thread_id = $1`

interface Row extends Omit<Hold, 'created_at' | 'expires_at' | 'decided_at'> {
  created_at: Date
  expires_at: Date
  decided_at: Date | null
  total?: unknown
  is_over?: boolean
}

export function createHolds(db: Database): Holds {
  return {
    async get(approvalId) {
      const { rows } = await db.query<Row>(GET, [approvalId])
      return rows[0] && toHold(rows[0])
    },
    async search(filter) {
      const { rows } = await db.query<Row>(SEARCH, searchValues(filter))
      return { items: rows.map(toHold), total: Number(rows[0]?.total ?? 0) }
    },
    async countPending() {
      const { rows } = await db.query<{ n: number }>(
        `select count(*)::integer as n from holds where status = 'pending'`,
      )
      return rows[0]?.n ?? 0
    },
    ofInterrupts: (threadId, interruptIds) => holdsOfInterrupts(db, threadId, interruptIds),
    decide: (approvalId, decision, by, edited) =>
      db.transaction(async (client) => {
        await client.query(LOCK_THREAD, [approvalId])
        const hold = await recordDecision(client, approvalId, decision, by, edited)
        const resumed = await resumeIfComplete(client, hold)
        await failpoint('hold.decide:before')
        return resumed
      }),
    async expire(now) {
      const { rows } = await db.query<{ approval_id: string }>(EXPIRED, [now])
      const ended = await Promise.all(rows.map(({ approval_id }) => expireOne(db, approval_id)))
      return ended.filter(Boolean).length
    },
    async released(call) {
      const { rows } = await db.query<{ released_hash: string }>(RELEASED, [
        call.threadId,
        call.messageId,
        call.callId,
      ])
      return rows[0]?.released_hash
    },
  }
}

export async function holdsOfInterrupts(
  client: Queryable,
  threadId: string,
  interruptIds: string[],
): Promise<Hold[]> {
  const { rows } = await client.query<Row>(OF_INTERRUPTS, [threadId, interruptIds])
  return rows.map(toHold)
}

/** Ends a pending hold. The caller has locked its thread. Throws `hold_not_found` and `hold_decided`. */
export async function recordDecision(
  client: Queryable,
  approvalId: string,
  decision: Decision,
  by: string,
  edited: EditedArgs | undefined,
): Promise<Hold> {
  const { rows } = await client.query<Row>(GET, [approvalId])
  const [row] = rows
  if (row === undefined) throw new RuntimeError('hold_not_found', `Approval ${approvalId} does not exist.`)
  if (row.status === 'pending' && row.is_over === true) {
    throw new RuntimeError(
      'hold_decided',
      `Approval ${approvalId} expired at ${row.expires_at.toISOString()}.`,
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
  const decided = await client.query<Row>(DECIDE, [
    approvalId,
    STATUS_AFTER[decision.type],
    JSON.stringify([...row.decisions, recorded]),
    released,
  ])
  if (decided.rows[0] === undefined)
    throw new RuntimeError('hold_decided', `Approval ${approvalId} was decided meanwhile.`)
  const hold = toHold(decided.rows[0])
  await settleDoubt(client, hold)
  await notify(client, topics.hold(approvalId))
  return hold
}

/** Writes a decided doubt into the effect ledger, where the executor will read it. */
async function settleDoubt(client: Queryable, hold: Hold): Promise<void> {
  if (hold.kind !== 'in_doubt') return
  const said = hold.decisions.at(-1)?.message
  const happened = { status: 'ok', result: { answered_by: 'person', message: said ?? '' } }
  const [status, outcome] =
    hold.status === 'approved'
      ? ['retry', null]
      : hold.status === 'responded'
        ? ['done', happened]
        : ['skipped', null]
  await client.query(SETTLE_DOUBT, [
    hold.thread_id,
    hold.message_id,
    hold.call_id,
    hold.args_hash,
    status,
    outcome === null ? null : JSON.stringify(outcome),
  ])
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
  await client.query(THREAD_BUSY, [hold.thread_id])
  await notify(client, topics.queue)
  return { ...hold, resumed_run_id: runId }
}

function expireOne(db: Database, approvalId: string): Promise<boolean> {
  return db.transaction(async (client) => {
    await client.query(LOCK_THREAD, [approvalId])
    const { rows } = await client.query<Row>(
      `update holds set status = 'expired', decided_at = now() where approval_id = $1 and status = 'pending' returning ${COLUMNS}`,
      [approvalId],
    )
    if (rows[0] === undefined) return false
    await notify(client, topics.hold(approvalId))
    await settleDoubt(client, toHold(rows[0]))
    await resumeIfComplete(client, toHold(rows[0]))
    return true
  })
}

function searchValues(filter: HoldFilter): unknown[] {
  return [filter.status ?? null, filter.thread_id ?? null, filter.tool ?? null, filter.limit, filter.offset]
}

function toHold({ total: _, is_over: __, ...row }: Row): Hold {
  return {
    ...row,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at.toISOString(),
    decided_at: row.decided_at?.toISOString() ?? null,
  }
}
