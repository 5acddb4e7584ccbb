import { z } from 'zod'
import type { Needs } from '../../runtime/needs.ts'
import type { Json } from '../../runtime/json.ts'
import { LOCAL, ROLES } from '../../runtime/people.ts'
import type { Risk, Tool } from '../define.ts'
import { parseArgs, riskOf } from '../policy.ts'
import { decide } from './decide.ts'
import type { Policy } from './schema.ts'

const ACTIONS = ['allow', 'hold', 'deny', 'invalid'] as const

const RecordedCall = z.strictObject({
  tool: z.string().min(1),
  args: z.record(z.string(), z.json()),
  agent: z.string().default(''),
  tenant: z.string().default('default'),
  requester: z.string().default('local'),
  /** The requester's. */
  roles: z.array(z.enum(ROLES)).default([...LOCAL.roles]),
  /** Tools whose untrusted results the thread has. */
  untrusted: z.array(z.string()).default([]),
  /** The tool's own. Unset: that of Holdpoint's tool of this name. */
  risk: z.enum(['low', 'medium', 'high', 'critical']).optional(),
  expect: z.enum(ACTIONS).optional(),
})
type RecordedCall = z.output<typeof RecordedCall>

export interface Judgement {
  /** From 1. */
  line: number
  tool: string
  action: (typeof ACTIONS)[number]
  rule: string | null
  risk: Risk
  /** Null where nobody has to approve it. */
  needs: Needs | null
  reason: string
  expect: (typeof ACTIONS)[number] | null
}

/** Judges calls that are written as JSON, one a line. Throws one line that names the first that cannot be judged. */
export function judgeRecorded(policy: Policy, tools: Tool[], text: string): Judgement[] {
  return text.split('\n').flatMap((written, index) => {
    if (written.trim() === '') return []
    const line = index + 1
    const call = readCall(written, line)
    return [{ line, tool: call.tool, ...judgementOf(policy, tools, call, line), expect: call.expect ?? null }]
  })
}

function judgementOf(
  policy: Policy,
  tools: Tool[],
  call: RecordedCall,
  line: number,
): Omit<Judgement, 'line' | 'tool' | 'expect'> {
  const known = knownCall(tools, call, line)
  if ('invalid' in known)
    return { action: 'invalid', rule: null, risk: 'low', needs: null, reason: known.invalid }
  const origin = {
    agents: [call.agent],
    tenant: call.tenant,
    requester: call.requester,
    roles: call.roles,
    untrusted: call.untrusted,
  }
  const { action, rule, risk, needs, reason } = decide(policy, { tool: call.tool, ...known, origin })
  return { action, rule, risk, needs: action === 'hold' ? needs : null, reason }
}

/** As the tool's schema reads it, where it is one of Holdpoint's. */
function knownCall(
  tools: Tool[],
  { tool: name, args, risk }: RecordedCall,
  line: number,
): { args: Record<string, Json>; risk: Risk; asks?: boolean | undefined } | { invalid: string } {
  const tool = tools.find((one) => one.name === name)
  if (tool === undefined) {
    if (risk === undefined)
      throw new Error(`line ${line}: "${name}" is no tool of Holdpoint's. Add its "risk" to the line.`)
    return { args, risk }
  }
  const parsed = parseArgs(tool, args)
  if (!parsed.ok) return { invalid: parsed.reason }
  return { args: parsed.args, risk: risk ?? riskOf(tool, parsed.args), asks: tool.asks }
}

function readCall(written: string, line: number): RecordedCall {
  let json: unknown
  try {
    json = JSON.parse(written)
  } catch (cause) {
    throw new Error(`line ${line}: it is no JSON. Write one call a line.`, { cause })
  }
  const parsed = RecordedCall.safeParse(json)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new Error(`line ${line}: ${issue?.path.join('.') || 'the call'}: ${issue?.message}`)
}
