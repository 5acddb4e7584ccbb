import { sha256 } from '../runtime/audit.ts'
import type { CallKey } from '../runtime/call.ts'
import type { Granted } from '../runtime/effect.ts'
import { RuntimeError } from '../runtime/errors.ts'
import type { Hold, Voice, Vote } from '../runtime/hold.ts'
import { type Author, type Person, rolesOf } from '../runtime/people.ts'
import { countingVotes } from '../runtime/quorum.ts'
import { topics } from '../runtime/topics.ts'
import { type Database, jsonb, type Queryable, type Transaction } from './database.ts'
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

const OF_THREAD = `select ${HOLD_COLUMNS} from holds where thread_id = $1 and approval_id = any($2)`

const CHANGE = `
  update holds set needs = $2::jsonb, decisions = $3::json, votes = $4::json, proposal = $5::json
  where approval_id = $1 and status = 'pending'
  returning ${HOLD_COLUMNS}`

// Until the word is said: whoever is shut out meanwhile is so after it. To revoke a key is to lock its owner as well.
const LOCK_AUTHORS = 'select 1 from principals where identity = any($1) order by identity for share'

// By a statement of its own: one that had waited for the lock would not see what was revoked meanwhile.
const AUTHORS = `
  select identity, roles, disabled_at,
    array(select key_id from api_keys k where k.identity = p.identity and revoked_at is not null) as revoked
  from principals p where identity = any($1)`

interface AuthorRow extends Omit<Author, 'roles' | 'disabled_at'> {
  roles: string[]
  disabled_at: Date | null
  [column: string]: unknown
}

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
  await lockAuthors(client, hold.votes)
  const votes = await votesNow(client, hold)
  recordLost(client, hold, votes)
  return { ...hold, votes }
}

/** Whose votes are no more. */
export function lostOf(votes: Voice[], still: Voice[]): string[] {
  return votes.map(({ by }) => by).filter((by) => still.every((vote) => vote.by !== by))
}

/** Of a hold that is asked for again: whose words it would have had. */
export async function recordLostOf(
  client: Transaction,
  threadId: string,
  approvalIds: string[],
): Promise<void> {
  if (approvalIds.length === 0) return
  const { rows } = await client.query<HoldRow>(OF_THREAD, [threadId, approvalIds])
  for (const row of rows) recordLost(client, toHold(row), await votesNow(client, row))
}

/** Whether the words that a grant is used for count as they were counted. Until the transaction ends they do. */
export async function stillCount(
  client: Transaction,
  { threadId }: Pick<CallKey, 'threadId'>,
  { approvalId, voices }: Granted,
): Promise<boolean> {
  await lockAuthors(client, voices)
  const { rows } = await client.query<HoldRow>(OF_THREAD, [threadId, [approvalId]])
  const votes = rows[0] === undefined ? [] : await votesNow(client, rows[0])
  return voices.every(({ by, senior }) => votes.some((vote) => vote.by === by && vote.senior === senior))
}

function recordLost(client: Transaction, hold: Hold, votes: Vote[]): void {
  const of = lostOf(hold.votes, votes)
  if (of.length > 0) recordWaiting(client, 'hold.vote_withdrawn', hold, SYSTEM, { votes: votes.length, of })
}

/** Nobody of them is shut out before the end of the transaction. */
async function lockAuthors(client: Transaction, votes: Voice[]): Promise<void> {
  await client.query(LOCK_AUTHORS, [votes.map(({ by }) => by)])
}

/** Those that still count, of people as they are now. */
export async function votesNow(
  client: Queryable,
  hold: Parameters<typeof countingVotes>[0],
): Promise<Vote[]> {
  if (hold.votes.length === 0) return []
  const { rows } = await client.query<AuthorRow>(AUTHORS, [hold.votes.map(({ by }) => by)])
  const authors = rows.map(({ roles, disabled_at: disabled, ...author }) => ({
    ...author,
    roles: rolesOf(roles),
    disabled_at: disabled?.toISOString() ?? null,
  }))
  return countingVotes(hold, authors)
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
