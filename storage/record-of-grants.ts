import type { Json } from '../runtime/json.ts'
import type { Transaction } from './database.ts'
import type { Cause, Who } from './record-of-holds.ts'

export interface Granted {
  approval_id: string
  message_id: string
  call_id: string
  tool: string
  grant_hash: string
}

export function recordGrant(
  client: Transaction,
  kind: 'grant.committed' | 'grant.consumed' | 'grant.revoked',
  threadId: string,
  who: Who,
  { grant_hash, ...call }: Granted,
  data: Record<string, Json>,
): void {
  client.recorded.push({
    kind,
    ...who,
    thread_id: threadId,
    ...call,
    data: { grant_sha256: grant_hash, ...data },
  })
}

export function recordRevoked(
  client: Transaction,
  threadId: string,
  revoked: Granted[],
  who: Who,
  cause: Cause,
): void {
  for (const grant of revoked) recordGrant(client, 'grant.revoked', threadId, who, grant, { cause })
}
