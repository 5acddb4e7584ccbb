import {
  type DecisionLink,
  type DecisionLinks,
  linkGone,
  readToken,
  writeToken,
} from '../runtime/decision-link.ts'
import type { Database, Transaction } from './database.ts'
import { LOCK_HELD_THREAD, openHold } from './hold-votes.ts'
import { person, recordWaiting } from './record-of-holds.ts'

const ISSUE = `
  with over as (delete from decision_links where expires_at < now() - interval '7 days')
  insert into decision_links (link_id, approval_id, identity, expires_at) values ($1, $2, $3, $4)`

const IS_UNUSED = 'select 1 from decision_links where link_id = $1 and used_at is null'

const USE = `
  update decision_links set used_at = now()
  where link_id = $1 and approval_id = $2 and identity = $3 and used_at is null
  returning 1`

// Its row is there before it is looked at, so that of two links that it comes by at once one has it. A signature counts
// five minutes to either side.
const CLAIM = `
  with over as (
    delete from signed_messages where digest in (
      select digest from signed_messages
      where seen_at < now() - interval '15 minutes' and digest <> $1
      for update skip locked
    )
  )
  insert into signed_messages (digest, link_id) values ($1, $2)
  on conflict (digest) do update set link_id = signed_messages.link_id
  returning link_id`

export function createDecisionLinks(db: Database, key: Buffer): DecisionLinks {
  return {
    issue: (link, by) =>
      db.transaction(async (client) => {
        const { link_id, approval_id, identity, decision, endpoint_id, expires_at } = link
        await client.query(LOCK_HELD_THREAD, [approval_id])
        const hold = await openHold(client, approval_id)
        await client.query(ISSUE, [link_id, approval_id, identity, expires_at])
        recordWaiting(client, 'hold.link_issued', hold, person(by), {
          link_id,
          for: identity,
          decision,
          ...(endpoint_id === null ? {} : { endpoint_id }),
          expires_at,
        })
        return writeToken(key, link)
      }),
    async read(token) {
      const link = readToken(key, token)
      if (link === undefined) return undefined
      const { rows } = await db.query(IS_UNUSED, [link.link_id])
      return rows.length > 0 ? link : undefined
    },
    async claim(message, linkId) {
      const { rows } = await db.query<{ link_id: string }>(CLAIM, [message, linkId])
      return rows[0]?.link_id === linkId
    },
  }
}

/** In the transaction of the decision: of two that come at once, one finds it used. */
export async function useLink(client: Transaction, link: DecisionLink): Promise<void> {
  const { rows } = await client.query(USE, [link.link_id, link.approval_id, link.identity])
  if (rows.length === 0) throw linkGone()
}
