import type { CallKey } from '../runtime/call.ts'
import { type HoldFilter, HoldRequest } from '../runtime/hold.ts'
import type { Holds } from '../runtime/ports.ts'
import { allowedSql } from './allowed.ts'
import { type Database, jsonb } from './database.ts'
import { decideHold, expireHold } from './decide-hold.ts'
import { commentOn, lostOf, votesNow, withdrawVote } from './hold-votes.ts'
import { HOLD_COLUMNS, type HoldRow, holdsOfInterrupts, toHold } from './hold-row.ts'

const GET = `select ${HOLD_COLUMNS} from holds where approval_id = $1`

const SEARCH = `
  select ${HOLD_COLUMNS}, count(*) over () as total from holds
  where ($1::text is null or status = $1)
    and ($2::uuid is null or thread_id = $2)
    and ($3::text is null or tool = $3)
    and ($4::jsonb = '{}' or exists (
      select 1 from threads where threads.thread_id = holds.thread_id and ${allowedSql('$4', 'threads')}
    ))
  order by created_at desc, approval_id
  limit $5 offset $6`

// A call that was asked for again has more than one: what is open counts more than the last word, and that more than
// those before.
const NEWEST = `
  select h.*, exists (
    select 1 from effects e
    where e.thread_id = $1 and e.message_id = $2 and e.call_id = $3 and e.args_hash = h.released_hash
  ) as begun, exists (
    select 1 from grants g
    where g.thread_id = $1 and g.approval_id = h.approval_id and g.consumed_at is null
      and g.expires_at <= clock_timestamp()
  ) as lapsed
  from holds h
  where thread_id = $1 and message_id = $2 and call_id = $3 and kind = 'tool'
  order by decided_at desc nulls first
  limit 1`

/** As many holds as are ended side by side: of thousands that are over none waits for the next sweep. */
const AT_ONCE = 100

const EXPIRED = `
  select approval_id from holds
  where status = 'pending' and expires_at <= $1 and needs ->> 'on_expiry' <> 'wait'
  order by expires_at limit ${AT_ONCE}`

export function createHolds(db: Database): Holds {
  return {
    async get(approvalId) {
      const { rows } = await db.query<HoldRow>(GET, [approvalId])
      return rows[0] && toHold(rows[0])
    },
    async search(filter) {
      const { rows } = await db.query<HoldRow>(SEARCH, searchValues(filter))
      return { items: rows.map(toHold), total: Number(rows[0]?.total ?? 0) }
    },
    async countPending() {
      const { rows } = await db.query<{ n: number }>(
        `select count(*)::integer as n from holds where status = 'pending'`,
      )
      return rows[0]?.n ?? 0
    },
    ofInterrupts: (threadId, interruptIds) => holdsOfInterrupts(db, threadId, interruptIds),
    decide: (...decision) => decideHold(db, ...decision),
    withdraw: (approvalId, by) => withdrawVote(db, approvalId, by),
    comment: (approvalId, by, text) => commentOn(db, approvalId, by, text),
    async expire(now) {
      let done = 0
      for (;;) {
        const { rows } = await db.query<{ approval_id: string }>(EXPIRED, [now])
        const ended = await Promise.allSettled(
          rows.map(({ approval_id }) => expireHold(db, approval_id, now)),
        )
        done += ended.filter((one) => one.status === 'fulfilled' && one.value).length
        // One that cannot be ended keeps no other waiting.
        const failed = ended.find((one) => one.status === 'rejected')
        if (failed !== undefined) throw failed.reason as Error
        if (rows.length < AT_ONCE) return done
      }
    },
    async released(call) {
      const row = await newestOf(db, call)
      if (row === undefined || row.released_hash === null) return undefined
      const votes = await votesNow(db, row)
      const edit = row.decisions.findLast(({ type }) => type === 'edit')
      return {
        approvalId: row.approval_id,
        tool: row.tool,
        hash: row.released_hash,
        votes,
        lost: lostOf(row.votes, votes),
        escalated: row.escalated_at !== null,
        toolVersion: row.tool_version,
        // Of the arguments that somebody edited alone, nobody was shown anything.
        previewHash: row.status === 'edited' ? (row.proposal?.preview_hash ?? null) : row.preview_hash,
        begun: row.begun,
        lapsed: row.lapsed,
        unread: row.status === 'edited' && edit?.checked_by === 'schema',
      }
    },
    async askedAgain(call) {
      const row = await newestOf(db, call)
      if (row === undefined || row.replaces === null) return undefined
      const message = row.decisions.at(-1)?.message
      const said = message === undefined ? {} : { message }
      switch (row.status) {
        case 'pending':
          return { state: 'waiting', ask: HoldRequest.parse(row) }
        case 'rejected':
          return { state: 'answered', answer: { type: 'reject', ...said } }
        case 'responded':
          return { state: 'answered', answer: { type: 'respond', ...said } }
        case 'expired':
          return { state: 'answered', answer: { type: 'reject', message: 'The approval expired.' } }
        case 'approved':
        case 'edited':
        case 'cancelled':
          return undefined
      }
    },
  }
}

type NewestRow = HoldRow & { released_hash: string | null; begun: boolean; lapsed: boolean }

async function newestOf(db: Database, { threadId, messageId, callId }: CallKey) {
  const { rows } = await db.query<NewestRow>(NEWEST, [threadId, messageId, callId])
  return rows[0]
}

function searchValues(filter: HoldFilter): unknown[] {
  return [
    filter.status ?? null,
    filter.thread_id ?? null,
    filter.tool ?? null,
    jsonb(filter.allowed ?? {}),
    filter.limit,
    filter.offset,
  ]
}
