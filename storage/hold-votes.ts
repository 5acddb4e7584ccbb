import { sha256 } from '../runtime/audit.ts'
import { RuntimeError } from '../runtime/errors.ts'
import type { Hold } from '../runtime/hold.ts'
import { type Person, rolesOf } from '../runtime/people.ts'
import { countingVotes } from '../runtime/quorum.ts'
import { topics } from '../runtime/topics.ts'
import { type Database, jsonb, type Transaction } from './database.ts'
import { HOLD_COLUMNS, type HoldRow, toHold } from './hold-row.ts'
import { person, recordWaiting, SYSTEM, type Who } from './record-of-holds.ts'
import { notify } from './signals.ts'

/** Whoever changes a hold waits here for all others who do. */
export const LOCK_HELD_THREAD = `
  select 1 from threads where thread_id = (select thread_id from holds where approval_id = $1) for update`

const GET = `
  select ${HOLD_COLUMNS}, clock_timestamp() as now,
    expires_at <= clock_timestamp() and needs ->> 'on_expiry' <> 'wait' as is_over
  from holds where approval_id = $1`

const CHANGE = `
  update holds set needs = $2::jsonb, decisions = $3::json, votes = $4::json, proposal = $5::json
  where approval_id = $1 and status = 'pending'
  returning ${HOLD_COLUMNS}`

// Locked until the word is said: whoever is shut out meanwhile is so after it.
const AUTHORS = `
  select identity, roles, disabled_at from principals where identity = any($1) order by identity for share`

const MAX_COMMENTS = 200

const COMMENT = `
  update holds set comments = (comments::jsonb || $2::jsonb)::json
  where approval_id = $1 and json_array_length(comments) < ${MAX_COMMENTS}
  returning ${HOLD_COLUMNS}`

// Once: who was asked in place of others is the last who is.
const ESCALATE = `
  update holds set escalated_at = $2,
    needs = needs || jsonb_build_object('who', needs #> '{on_expiry,escalate,to}'),
    expires_at = $2 + make_interval(secs => (needs #>> '{on_expiry,escalate,expires_in}')::double precision)
  where approval_id = $1 and status = 'pending' and expires_at <= $2 and escalated_at is null
    and jsonb_typeof(needs -> 'on_expiry') = 'object'
  returning ${HOLD_COLUMNS}`

/** A hold that waits. Throws `hold_not_found` and `hold_decided`. */
export async function openHold(client: Transaction, approvalId: string): Promise<Hold> {
  const { rows } = await client.query<HoldRow & { now: Date }>(GET, [approvalId])
  const [row] = rows
  if (row === undefined) throw new RuntimeError('hold_not_found', `Approval ${approvalId} does not exist.`)
  if (row.status !== 'pending') {
    throw new RuntimeError(
      'hold_decided',
      `Approval ${approvalId} is already ${row.status}. Nothing was changed.`,
    )
  }
  if (row.is_over === true) {
    // Nobody has handed it on yet.
    if (await escalate(client, approvalId, row.now)) return await openHold(client, approvalId)
    throw new RuntimeError(
      'hold_decided',
      `Approval ${approvalId} expired at ${row.expires_at?.toISOString()}.`,
    )
  }
  const { now: _, ...found } = row
  return toHold(found)
}

/** The same hold, without the votes that count no longer. */
export async function withCountingVotes(client: Transaction, hold: Hold): Promise<Hold> {
  if (hold.votes.length === 0) return hold
  const { rows } = await client.query<{ identity: string; roles: string[]; disabled_at: Date | null }>(
    AUTHORS,
    [hold.votes.map(({ by }) => by)],
  )
  const authors = rows.map(({ identity, roles, disabled_at: disabled }) => ({
    identity,
    roles: rolesOf(roles),
    disabled_at: disabled?.toISOString() ?? null,
  }))
  const votes = countingVotes(hold, authors)
  const gone = hold.votes.map(({ by }) => by).filter((by) => votes.every((vote) => vote.by !== by))
  if (gone.length > 0)
    recordWaiting(client, 'hold.vote_withdrawn', hold, SYSTEM, { votes: votes.length, of: gone })
  return { ...hold, votes }
}

/** It waits on, with other words on it. */
export async function changeHold(client: Transaction, hold: Hold): Promise<Hold> {
  const { rows } = await client.query<HoldRow>(CHANGE, [
    hold.approval_id,
    jsonb(hold.needs),
    JSON.stringify(hold.decisions),
    JSON.stringify(hold.votes),
    hold.proposal === null ? null : JSON.stringify(hold.proposal),
  ])
  if (rows[0] === undefined)
    throw new RuntimeError('hold_decided', `Approval ${hold.approval_id} was decided meanwhile.`)
  await notify(client, topics.hold(hold.approval_id))
  return toHold(rows[0])
}

export function withdrawVote(db: Database, approvalId: string, by: Person): Promise<Hold> {
  return db.transaction(async (client) => {
    await client.query(LOCK_HELD_THREAD, [approvalId])
    const hold = await openHold(client, approvalId)
    const votes = hold.votes.filter((vote) => vote.by !== by.identity)
    if (votes.length === hold.votes.length)
      throw new RuntimeError('vote_not_found', `${by.identity} has not approved approval ${approvalId}.`)
    const changed = await changeHold(client, { ...hold, votes })
    recordWaiting(client, 'hold.vote_withdrawn', changed, person(by.identity), { votes: votes.length })
    return changed
  })
}

/** Also on one that is decided. */
export function commentOn(db: Database, approvalId: string, by: Person, text: string): Promise<Hold> {
  return db.transaction(async (client) => {
    await client.query(LOCK_HELD_THREAD, [approvalId])
    const comment = { by: by.identity, at: new Date().toISOString(), text }
    const { rows } = await client.query<HoldRow>(COMMENT, [approvalId, jsonb([comment])])
    if (rows[0] === undefined) {
      const { rows: found } = await client.query(GET, [approvalId])
      if (found.length === 0)
        throw new RuntimeError('hold_not_found', `Approval ${approvalId} does not exist.`)
      throw new RuntimeError(
        'invalid_input',
        `Approval ${approvalId} has ${MAX_COMMENTS} comments, which is all.`,
      )
    }
    const hold = toHold(rows[0])
    const who: Who = { actor: by.identity, actor_type: by.kind }
    recordWaiting(client, 'hold.commented', hold, who, { text_sha256: sha256(text) })
    await notify(client, topics.hold(approvalId))
    return hold
  })
}

/** Hands it on to those whom it names, with the time that they have. False where it names nobody, or did so before. */
export async function escalate(client: Transaction, approvalId: string, now: Date): Promise<boolean> {
  const { rows } = await client.query<HoldRow>(ESCALATE, [approvalId, now])
  if (rows[0] === undefined) return false
  const hold = toHold(rows[0])
  recordWaiting(client, 'hold.escalated', hold, SYSTEM, { expires_at: hold.expires_at })
  await notify(client, topics.hold(approvalId))
  return true
}
