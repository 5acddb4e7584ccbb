import type { EffectStatus } from '../runtime/effect.ts'
import { RuntimeError } from '../runtime/errors.ts'
import { failpoint } from '../runtime/failpoint.ts'
import { sha256 } from '../runtime/audit.ts'
import {
  type Decision,
  type EditedArgs,
  type Hold,
  type HoldStatus,
  type RecordedDecision,
  STATUS_AFTER,
  type Vote,
} from '../runtime/hold.ts'
import type { Needs } from '../runtime/needs.ts'
import type { Json } from '../runtime/json.ts'
import { hasRole, type Person } from '../runtime/people.ts'
import type { Holds } from '../runtime/ports.ts'
import { isQuorum, refusalOf } from '../runtime/quorum.ts'
import { topics } from '../runtime/topics.ts'
import { type Database, jsonb, type Transaction } from './database.ts'
import { useLink } from './decision-links.ts'
import { HOLD_COLUMNS, type HoldRow, toHold } from './hold-row.ts'
import { commitGrant } from './grants.ts'
import { changeHold, escalate, LOCK_HELD_THREAD, openHold, withCountingVotes } from './hold-votes.ts'
import { resumeIfComplete } from './resume-held.ts'
import { recordSettled } from './record-of-effects.ts'
import { person, recordDecided, recordExpired, recordWaiting, SYSTEM, type Who } from './record-of-holds.ts'
import { notify } from './signals.ts'

// What a person's word on a call in doubt makes of its effect. Another lease's effect is not what the person was asked of.
// What was to be run again, and was not because another version was there by then, is asked once more.
const SETTLE_DOUBT = `
  update effects set status = $5, outcome = $6::json, ended_at = case when $5 = 'retry' then null else now() end,
    tool_version = case when $5 = 'retry' then $7 else tool_version end
  where thread_id = $1 and message_id = $2 and call_id = $3 and args_hash = $4 and status in ('intended', 'retry')
  returning effect, key`

/** Of one hold, with all their arguments. */
const MAX_EDITS = 50
const NO_MORE_EDITS = `It was edited ${MAX_EDITS} times, which is all. Approve what it is now, or reject it.`

const DECIDE = `
  update holds
  set status = $2, decisions = $3::json, released_hash = $4, needs = coalesce($5::jsonb, needs),
    votes = $6::json, decided_at = now()
  where approval_id = $1 and status = 'pending'
  returning ${HOLD_COLUMNS}`

const EXPIRE = `
  update holds set status = 'expired', decided_at = now()
  where approval_id = $1 and status = 'pending' and expires_at <= $2
  returning ${HOLD_COLUMNS}`

/** A decision by itself, and the run that goes on where it was the last that its message waited for. */
export function decideHold(
  db: Database,
  ...[approvalId, decision, by, edited, link]: Parameters<Holds['decide']>
): Promise<Hold> {
  return db.transaction(async (client) => {
    await client.query(LOCK_HELD_THREAD, [approvalId])
    if (link !== undefined) await useLink(client, link)
    const hold = await recordDecision(client, approvalId, decision, by, edited)
    if (link !== undefined)
      for (const { data } of client.recorded) Object.assign(data, { via: 'link', link_id: link.link_id })
    const resumed = await resumeIfComplete(client, hold)
    await failpoint('hold.decide:before')
    return resumed
  })
}

/**
 * One person's word. It ends the hold, or leaves it `pending` where more have to say so. The caller has locked its
 * thread. Throws `hold_not_found`, `hold_decided` and what says why they may not.
 */
export async function recordDecision(
  client: Transaction,
  approvalId: string,
  decision: Decision,
  by: Person,
  edited: EditedArgs | undefined,
): Promise<Hold> {
  const hold = await withCountingVotes(client, await openHold(client, approvalId))
  // Alone, whoever edits releases: what the new arguments need counts.
  const asked = edited === undefined ? hold : { ...hold, needs: edited.needs }
  const refusal = refusalOf(by.alone ? asked : hold, by, decision.type)
  if (refusal !== undefined) throw refusal
  const recorded: RecordedDecision = {
    type: decision.type,
    ...(edited === undefined ? {} : { args: edited.args }),
    ...(edited?.checkedBy === undefined ? {} : { checked_by: edited.checkedBy }),
    ...(decision.message === undefined ? {} : { message: decision.message }),
    by: by.identity,
    at: new Date().toISOString(),
  }
  if (decision.type === 'approve') {
    checkSeen(hold, decision)
    return await approve(client, hold, recorded, by)
  }
  if (edited !== undefined && !by.alone) return await propose(client, hold, recorded, edited)
  return await endHold(client, hold, {
    last: recorded,
    added: [recorded],
    status: STATUS_AFTER[decision.type],
    released: edited?.hash ?? null,
    votes: edited === undefined ? hold.votes : [voteOf(recorded, by)],
    needs: edited?.needs,
  })
}

/** An approval is of what its sender saw: arguments that were edited since have to be named. */
function checkSeen({ approval_id, args_hash, proposal }: Hold, { args_hash: seen }: Decision): void {
  if (proposal === null && (seen === undefined || seen === args_hash)) return
  if (proposal !== null && seen === proposal.args_hash) return
  throw new RuntimeError(
    'hold_changed',
    proposal === null
      ? `Approval ${approval_id} is of other arguments. Read it anew.`
      : `${proposal.by} has edited the arguments of approval ${approval_id}. Read them, and send their hash along: "args_hash": "${proposal.args_hash}".`,
  )
}

function voteOf({ type, at, by, message }: RecordedDecision, person: Person): Vote {
  return {
    by,
    type: type === 'edit' ? 'edit' : 'approve',
    at,
    ...(message === undefined ? {} : { comment: message }),
    senior: hasRole(person, 'senior'),
    roles: [...person.roles],
    ...(person.keyId === undefined ? {} : { key_id: person.keyId }),
  }
}

async function approve(client: Transaction, hold: Hold, said: RecordedDecision, by: Person): Promise<Hold> {
  const votes = [...hold.votes, voteOf(said, by)]
  const { proposal } = hold
  if (isQuorum(votes, hold.needs))
    return await endHold(client, hold, {
      last: said,
      added: votes.map(({ by: one, at, comment }) => ({
        type: 'approve',
        ...(comment === undefined ? {} : { message: comment }),
        by: one,
        at,
      })),
      status: proposal === null ? 'approved' : 'edited',
      released: proposal?.args_hash ?? hold.args_hash,
      votes,
    })
  const waiting = await changeHold(client, { ...hold, votes })
  recordWaiting(client, 'hold.voted', waiting, person(by.identity), {
    votes: votes.length,
    ...(proposal === null ? {} : { edited_sha256: proposal.args_hash }),
    ...(said.message === undefined ? {} : { message_sha256: sha256(said.message) }),
  })
  return waiting
}

/** Whoever edits does not release: all others say their word anew, of the new arguments. */
async function propose(
  client: Transaction,
  hold: Hold,
  said: RecordedDecision,
  { args, hash, needs, shown }: EditedArgs,
): Promise<Hold> {
  const { by, at } = said
  if (hold.decisions.length >= MAX_EDITS) throw new RuntimeError('invalid_decision', NO_MORE_EDITS)
  const proposal = { args, args_hash: hash, by, at, ...shown }
  const decisions = [...hold.decisions, said]
  // Handed on, it stays so: the policy would ask those again who had their time.
  const who = hold.escalated_at === null ? needs.who : hold.needs.who
  const waiting = await changeHold(client, {
    ...hold,
    needs: { ...needs, who },
    decisions,
    proposal,
    votes: [],
  })
  recordWaiting(client, 'hold.edited', waiting, person(by), {
    edited_sha256: hash,
    ...(said.message === undefined ? {} : { message_sha256: sha256(said.message) }),
  })
  return waiting
}

interface End {
  last: RecordedDecision
  added: RecordedDecision[]
  status: HoldStatus
  /** The hash of what may run. */
  released: string | null
  votes: Vote[]
  needs?: Needs | undefined
}

async function endHold(client: Transaction, before: Hold, end: End): Promise<Hold> {
  const { approval_id: approvalId } = before
  const { last, released } = end
  const decided = await client.query<HoldRow>(DECIDE, [
    approvalId,
    end.status,
    JSON.stringify([...before.decisions, ...end.added]),
    released,
    end.needs === undefined ? null : jsonb(end.needs),
    JSON.stringify(end.votes),
  ])
  if (decided.rows[0] === undefined)
    throw new RuntimeError('hold_decided', `Approval ${approvalId} was decided meanwhile.`)
  const hold = toHold(decided.rows[0])
  await recordDecided(client, { ...hold, released_hash: released }, last.by, {
    type: last.type,
    message: last.message,
    editedHash: hold.status === 'edited' ? (released ?? undefined) : undefined,
    released_by: released === null ? [] : end.votes.map(({ by }) => by),
  })
  if (!(await settleDoubt(client, hold, person(last.by))) && hold.status !== 'approved') {
    throw new RuntimeError(
      'hold_decided',
      `What became of the call is known meanwhile (GET /threads/${hold.thread_id}/effects). Approve to go on with it.`,
    )
  }
  if (released !== null && hold.kind === 'tool')
    await commitGrant(client, hold, last.args ?? before.proposal?.args ?? hold.args, last.by)
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
    hold.tool_version,
  ])
  for (const { effect, key } of rows) recordSettled(client, hold, who, { effect, key, status, outcome })
  return rows.length > 0
}

/** At the end of its time, which `now` says. False where it was decided meanwhile. */
export function expireHold(db: Database, approvalId: string, now: Date): Promise<boolean> {
  return db.transaction(async (client) => {
    await client.query(LOCK_HELD_THREAD, [approvalId])
    if (await escalate(client, approvalId, now)) return true
    const { rows } = await client.query<HoldRow>(EXPIRE, [approvalId, now])
    if (rows[0] === undefined) return false
    await notify(client, topics.hold(approvalId))
    await recordExpired(client, rows[0])
    await settleDoubt(client, toHold(rows[0]), SYSTEM)
    await resumeIfComplete(client, toHold(rows[0]))
    return true
  })
}
