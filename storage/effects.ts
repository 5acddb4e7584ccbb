import type { Begun, Effect, Intent, Intention, Ledger } from '../runtime/effect.ts'
import { failpoint } from '../runtime/failpoint.ts'
import type { Json } from '../runtime/json.ts'
import { LeaseLost } from '../runtime/lease.ts'
import type { Effects } from '../runtime/ports.ts'
import type { ClaimedRun } from '../runtime/run.ts'
import type { Database, Transaction } from './database.ts'
import { stillCount } from './hold-votes.ts'
import { observationsOf, untrustedIn } from './observations.ts'
import { recordBegun, recordEnded, recordRetaken } from './record-of-effects.ts'
import { recordGrant } from './record-of-grants.ts'
import { agent } from './record-of-holds.ts'

const FENCE = `
  select 1 from runs
  where thread_id = $1 and run_id = $2 and lease_token = $3 and status = 'running'
  for share`

const THIS = 'thread_id = $1 and message_id = $4 and call_id = $5 and args_hash = $6'

// One version of a tool does not go on with what another began. What is found is read from the statement's snapshot, so that an effect that this statement adds is not among it. A
// grant is used by what begins with it, and by nothing that was begun before.
const INTEND = `
  with fence as (${FENCE}), found as (
    select status, outcome, tool, tool_version, run_id || '.' || lease_token as owner from effects where ${THIS}
  ), granted as (
    update grants set consumed_at = now(), consumed_by = $2 || '.' || $3
    where thread_id = $1 and message_id = $4 and call_id = $5 and grant_hash = $10 and consumed_at is null
      and (expires_at is null or expires_at > clock_timestamp())
      and exists (select 1 from fence) and not exists (select 1 from found)
    returning approval_id
  ), added as (
    insert into effects (thread_id, run_id, lease_token, message_id, call_id, args_hash, tool, tool_version,
      effect, key, status)
    select $1, $2, $3, $4, $5, $6, $7, $11, $8, $9, 'intended' from fence
    where $10::text is null or exists (select 1 from granted)
    on conflict do nothing
    returning 1
  ), taken as (
    update effects set status = 'intended', run_id = $2, lease_token = $3, tool_version = $11,
      ended_at = null
    where ${THIS} and tool = $7 and tool_version in ('', $11)
      and (status = 'retry' or (status = 'intended' and effect <> 'once'))
      and exists (select 1 from fence)
    returning 1
  )
  select exists (select 1 from added) or exists (select 1 from taken) as begun, granted.approval_id, found.*
  from fence left join found on true left join granted on true`

const FIND = `
  select status, outcome, tool, tool_version, run_id || '.' || lease_token as owner from effects
  where thread_id = $1 and message_id = $2 and call_id = $3 and args_hash = $4 and tool = $5 and status <> 'retry'`

const RETAKE = `
  with fence as (${FENCE})
  update effects set status = 'intended', run_id = $2, lease_token = $3
  where ${THIS} and status in ('intended', 'retry') and run_id || '.' || lease_token = $7 and exists (select 1 from fence)
  returning 1`

// An effect that its own run has begun and no later one has taken over.
const CONCLUDE = `
  with fence as (${FENCE})
  update effects set status = $7, outcome = $8::json, ended_at = now()
  where ${THIS} and status = 'intended' and run_id = $2 and lease_token = $3 and exists (select 1 from fence)
  returning 1`

const LIST = `
  select thread_id, message_id, call_id, args_hash, run_id, tool, effect, key, status, outcome, created_at, ended_at
  from effects where thread_id = $1
  order by created_at desc, call_id
  limit $2 offset $3`

interface FoundRow {
  status: Effect['status'] | null
  outcome: Json
  tool: string | null
  tool_version: string | null
  owner: string | null
}

interface IntendRow extends FoundRow {
  begun: boolean
  /** Of the grant that was used. */
  approval_id: string | null
}

interface Row extends Omit<Effect, 'created_at' | 'ended_at'> {
  created_at: Date
  ended_at: Date | null
}

export function createEffects(db: Database): Effects {
  return {
    ledger: (run) => ledgerOf(db, run),
    observations: (run) => observationsOf(db, run),
    untrustedIn: (threadId) => untrustedIn(db, threadId),
    async list(threadId, { limit, offset }) {
      const { rows } = await db.query<Row & Record<string, unknown>>(LIST, [threadId, limit, offset])
      return rows.map((row) => ({
        ...row,
        created_at: row.created_at.toISOString(),
        ended_at: row.ended_at?.toISOString() ?? null,
      }))
    },
  }
}

function ledgerOf(db: Database, run: ClaimedRun): Ledger {
  const values = ({ call, argsHash }: Intent) => [
    call.threadId,
    run.run_id,
    run.lease_token,
    call.messageId,
    call.callId,
    argsHash,
  ]
  const own = <Row>(rows: Row[]): Row => {
    const [row] = rows
    if (row === undefined) throw new LeaseLost(run.run_id)
    return row
  }
  return {
    async intend(intent) {
      await failpoint('effect.intend:before')
      const intention = await db.transaction(async (client): Promise<Intention> => {
        if (intent.grant !== undefined && !(await stillCount(client, intent.call, intent.grant)))
          return { state: 'recount' }
        const { rows } = await client.query<IntendRow & Record<string, unknown>>(INTEND, [
          ...values(intent),
          intent.tool,
          intent.effect,
          intent.key,
          intent.grant?.hash ?? null,
          intent.toolVersion,
        ])
        const row = own(rows)
        if (row.approval_id !== null) recordUse(client, run, intent, row.approval_id)
        if (row.begun) recordBegun(client, run, intent, row.status !== null)
        return intentionOf(row, intent)
      })
      await failpoint('effect.intend:after')
      return intention
    },
    async find({ call, argsHash, tool }) {
      const values = [call.threadId, call.messageId, call.callId, argsHash, tool]
      const { rows } = await db.query<FoundRow & Record<string, unknown>>(FIND, values)
      return rows[0] && foundOf(rows[0])
    },
    async retake(intent, owner) {
      await db.transaction(async (client) => {
        const { rows } = await client.query(RETAKE, [...values(intent), owner])
        own(rows)
        recordRetaken(client, run, intent)
      })
    },
    async conclude(intent, status, outcome) {
      await failpoint('effect.conclude:before')
      await db.transaction(async (client) => {
        const { rows } = await client.query(CONCLUDE, [...values(intent), status, JSON.stringify(outcome)])
        own(rows)
        recordEnded(client, run, intent, status, outcome)
      })
      await failpoint('effect.conclude:after')
    },
  }
}

function recordUse(client: Transaction, run: ClaimedRun, intent: Intent, approvalId: string): void {
  const { call, tool, grant } = intent
  const granted = {
    approval_id: approvalId,
    message_id: call.messageId,
    call_id: call.callId,
    tool,
    grant_hash: grant?.hash ?? '',
  }
  const who = agent(run.assistant_id)
  recordGrant(client, 'grant.consumed', call.threadId, who, granted, {
    attempt: `${run.run_id}.${run.lease_token}`,
  })
}

function intentionOf(row: IntendRow, { grant, tool }: Intent): Intention {
  if (row.begun) return { state: 'begin' }
  if (row.tool !== null && row.tool !== tool) return { state: 'foreign', tool: row.tool }
  return row.status === null && grant !== undefined ? { state: 'ungranted' } : foundOf(row)
}

function foundOf(row: FoundRow): Begun {
  switch (row.status) {
    case 'done':
    case 'failed':
      return { state: 'ended', outcome: row.outcome }
    case 'skipped':
      return { state: 'skipped' }
    case 'intended':
    case 'retry':
    case null:
      // `retry` and none were taken just now by another execution of the same call.
      return { state: 'in_doubt', owner: row.owner ?? '', ...begunBy(row) }
  }
}

function begunBy({ tool_version: toolVersion }: FoundRow): { toolVersion?: string } {
  return toolVersion === null || toolVersion === '' ? {} : { toolVersion }
}
