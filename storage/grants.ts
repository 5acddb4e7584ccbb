import { grantHash } from '../runtime/call.ts'
import type { Hold } from '../runtime/hold.ts'
import type { Json } from '../runtime/json.ts'
import type { Transaction } from './database.ts'
import { type Granted, recordGrant, recordRevoked } from './record-of-grants.ts'
import { type Cause, person, type Who } from './record-of-holds.ts'

// The newest word on a call is the one that counts.
const COMMIT = `
  insert into grants (thread_id, approval_id, message_id, call_id, grant_hash, tool, tool_version, policy_version,
    expires_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + make_interval(secs => $9))
  on conflict (thread_id, message_id, call_id) where consumed_at is null do update
  set approval_id = excluded.approval_id, grant_hash = excluded.grant_hash, tool = excluded.tool,
    tool_version = excluded.tool_version, policy_version = excluded.policy_version, created_at = excluded.created_at,
    expires_at = excluded.expires_at`

/** As long as people had to decide, but no shorter than a server takes to come back; where they had no end, a month. */
const LEAST_S = 600
const MOST_S = 30 * 86_400

/** What a statement that revokes grants returns of each, so that it can be recorded. */
export const REVOKED = 'approval_id, message_id, call_id, tool, grant_hash'

const REVOKE = `
  delete from grants where thread_id = $1 and approval_id = any($2) and consumed_at is null returning ${REVOKED}`

/** The right to run the call once, with these arguments: in the transaction of the word that releases it. */
export async function commitGrant(client: Transaction, hold: Hold, args: Json, by: string): Promise<void> {
  const { thread_id, approval_id, message_id, call_id, tool, tool_version, policy_version } = hold
  const call = { threadId: thread_id, messageId: message_id, callId: call_id }
  const hash = grantHash(call, { name: tool, version: tool_version }, args)
  await client.query(COMMIT, [
    thread_id,
    approval_id,
    message_id,
    call_id,
    hash,
    tool,
    tool_version,
    policy_version,
    Math.max(LEAST_S, hold.needs.expires_in ?? MOST_S),
  ])
  const grant = { approval_id, message_id, call_id, tool, grant_hash: hash }
  recordGrant(client, 'grant.committed', thread_id, person(by), grant, { tool_version, policy_version })
}

/** What nobody has used of these approvals can be used no more. */
export async function revokeGrants(
  client: Transaction,
  threadId: string,
  approvalIds: string[],
  { who, cause }: { who: Who; cause: Cause },
): Promise<void> {
  if (approvalIds.length === 0) return
  const { rows } = await client.query<Granted & Record<string, unknown>>(REVOKE, [threadId, approvalIds])
  recordRevoked(client, threadId, rows, who, cause)
}
