import { approvalId, argsHash, type CallKey, hasCanonicalForm } from '../runtime/call.ts'
import { type Needs, ONE_PERSON } from '../runtime/needs.ts'
import { toJson, type Json } from '../runtime/json.ts'
import { NOTHING_SHOWN, type Shown } from '../runtime/preview.ts'
import type { Risk, Tool } from './define.ts'
import { inForce } from './policy/current.ts'
import { decide, isGiven, notGiven } from './policy/decide.ts'

/** What is to happen with one call of a message. Written into the state once, never computed again on resume. */
export interface Verdict extends Shown {
  call_id: string
  message_id: string
  tool: string
  tool_version: string
  action: 'allow' | 'hold' | 'deny' | 'invalid'
  /** For the approver with `hold`, for the model with `deny` and `invalid`. */
  reason: string
  risk: Risk
  /** The names of the rules that made it; null: the tool's own risk did. */
  rule: string | null
  policy_version: string
  /** With `hold`. */
  needs: Needs
  /** After the tool's schema; empty with `deny` and `invalid`. */
  args: Record<string, Json>
  args_hash: string
  approval_id: string
}

export interface Call {
  key: CallKey
  tool: string
  args: unknown
  /** Whether its verdict was that people are asked. */
  held?: boolean
}

/** Arguments as the schema reads them (defaults filled in), or why it does not. */
export function parseArgs(
  { schema }: Pick<Tool, 'schema'>,
  args: unknown,
): { ok: true; args: Record<string, Json> } | { ok: false; reason: string } {
  const parsed = schema.safeParse(args)
  if (parsed.success) {
    const given = toJson(parsed.data) as Record<string, Json>
    if (hasCanonicalForm(given)) return { ok: true, args: given }
    return { ok: false, reason: 'arguments: half a surrogate pair is not text' }
  }
  const issues = parsed.error.issues
    .slice(0, 5)
    .map(({ path, message }) => `${path.join('.') || 'arguments'}: ${message}`)
  return { ok: false, reason: issues.join('; ') }
}

/** Judges a call by the agent's allowlist, the tool's schema, and the policy's rules or else the tool's risk. */
export function judge(allowed: Tool[], call: Call, { policy, origin } = inForce()): Verdict {
  const base = { call_id: call.key.callId, message_id: call.key.messageId, tool: call.tool, ...NOTHING_SHOWN }
  const closed = {
    ...base,
    args: {},
    args_hash: '',
    approval_id: '',
    rule: null,
    policy_version: policy.version,
    needs: ONE_PERSON,
    tool_version: '',
  }
  const tool = allowed.find(({ name }) => name === call.tool)
  const given = allowed.filter(({ name }) => isGiven(policy, name, origin))
  if (tool === undefined || !given.includes(tool)) {
    const names = given.map(({ name }) => name).join(', ') || 'none'
    const why = tool === undefined ? `This agent has no tool "${call.tool}".` : notGiven(call.tool)
    return { ...closed, action: 'deny', risk: 'critical', reason: `${why} It has: ${names}.` }
  }
  const parsed = parseArgs(tool, call.args)
  if (!parsed.ok) return { ...closed, action: 'invalid', risk: 'low', reason: parsed.reason }
  const { args } = parsed
  const asked = { tool: tool.name, args, risk: riskOf(tool, args), asks: tool.asks, origin }
  const ruling = decide(policy, asked)
  if (ruling.action === 'deny') return { ...closed, ...ruling }
  const hash = argsHash(args)
  return {
    ...base,
    ...ruling,
    policy_version: policy.version,
    tool_version: tool.version,
    args,
    args_hash: hash,
    approval_id: approvalId(call.key, hash),
  }
}

export function riskOf(tool: Tool, args: Record<string, Json>): Risk {
  return typeof tool.risk === 'function' ? tool.risk(args) : tool.risk
}
