import type { Hold } from '../runtime/hold.ts'
import type { Queryable } from './database.ts'

export const HOLD_COLUMNS = `thread_id, approval_id, run_id, assistant_id, graph_id, tenant_id, requested_by, requester, requester_roles, interrupt_id, kind, message_id,
  call_id, tool, tool_version, args, args_hash, args_schema, preview, preview_hash, no_preview, replaces, risk, reason, rule, policy_version, needs, status, decisions, votes, proposal, comments, escalated_at,
  resumed_run_id, created_at, expires_at, decided_at`

const OF_INTERRUPTS = `
  select ${HOLD_COLUMNS} from holds where thread_id = $1 and interrupt_id = any($2) order by created_at, approval_id`

export interface HoldRow extends Omit<Hold, 'created_at' | 'expires_at' | 'escalated_at' | 'decided_at'> {
  created_at: Date
  expires_at: Date | null
  escalated_at: Date | null
  decided_at: Date | null
  total?: unknown
  is_over?: boolean
}

export async function holdsOfInterrupts(
  client: Queryable,
  threadId: string,
  interruptIds: string[],
): Promise<Hold[]> {
  const { rows } = await client.query<HoldRow>(OF_INTERRUPTS, [threadId, interruptIds])
  return rows.map(toHold)
}

export function toHold({ total: _, is_over: __, ...row }: HoldRow): Hold {
  return {
    ...row,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at?.toISOString() ?? null,
    escalated_at: row.escalated_at?.toISOString() ?? null,
    decided_at: row.decided_at?.toISOString() ?? null,
  }
}
