import { argsHash } from '../runtime/call.ts'
import { RuntimeError } from '../runtime/errors.ts'
import type { Hold } from '../runtime/hold.ts'
import type { Json } from '../runtime/json.ts'
import { NOTHING_SHOWN, type Shown } from '../runtime/preview.ts'
import { refusalOf } from '../runtime/quorum.ts'
import type { CheckArgs, CheckEdit } from '../runtime/resume.ts'
import type { Services } from '../runtime/services.ts'
import { schemaFrom } from './args-schema.ts'
import type { Risk, Tool } from './define.ts'
import { definedFor } from './defined.ts'
import { parseArgs, riskOf } from './policy.ts'
import { decide } from './policy/decide.ts'
import { grown } from './policy/needs.ts'
import type { Policy } from './policy/schema.ts'
import { showCall } from './preview.ts'

/** Reads a person's edited arguments with the tool's own schema, or else with what the hold says of it. */
export const checkArgs: CheckArgs = (hold, args) => editOf(hold, args).edited

/** As `checkArgs`, as the policy in force judges them in the place of the held ones, and as the tool shows the call. */
export function checkEditBy(
  policy: { current(): Policy },
  services: Services,
  untrustedIn: (threadId: string) => Promise<string[]>,
): CheckEdit {
  return async (hold, args, by) => {
    const refusal = by.alone ? undefined : refusalOf(hold, by, 'edit')
    if (refusal !== undefined) throw refusal
    const { tool, edited } = editOf(hold, args)
    const origin = {
      agents: [hold.graph_id, hold.assistant_id],
      tenant: hold.tenant_id,
      requester: hold.requester ?? undefined,
      roles: hold.requester_roles ?? undefined,
      untrusted: await untrustedIn(hold.thread_id),
    }
    // A risk that depends on the arguments is asked at use, by whoever has the tool.
    const risk = tool === undefined ? (hold.risk as Risk) : riskOf(tool, edited.args)
    const { action, needs, reason } = decide(policy.current(), {
      tool: hold.tool,
      args: edited.args,
      risk,
      origin,
    })
    if (action === 'deny') throw new RuntimeError('invalid_decision', `${reason} The approval still waits.`)
    // Alone, whoever edits releases, and has seen the arguments.
    const looks = !by.alone && hold.status === 'pending'
    const shown = looks ? await shownOf(hold, tool, edited.args, services) : NOTHING_SHOWN
    return { ...edited, needs: action === 'hold' ? grown(hold.needs, needs) : hold.needs, shown }
  }
}

async function shownOf(
  hold: Hold,
  tool: Tool | undefined,
  args: Record<string, Json>,
  services: Services,
): Promise<Shown> {
  const key = { threadId: hold.thread_id, callId: hold.call_id }
  if (tool !== undefined)
    return await showCall(tool, args, key, { services, signal: new AbortController().signal })
  const hadOne = hold.preview !== null || hold.no_preview !== null
  const why = 'the server that took the edit does not have this tool. You are asked again, with a preview'
  return hadOne ? { ...NOTHING_SHOWN, no_preview: why } : NOTHING_SHOWN
}

function editOf(hold: Parameters<CheckArgs>[0], args: Json) {
  const tool = definedFor(hold)
  const schema = tool?.schema ?? schemaFrom(hold.args_schema)
  if (schema === undefined)
    throw new RuntimeError(
      'invalid_decision',
      `Tool "${hold.tool}" is not known here, so its arguments cannot be checked. Reject the call.`,
    )
  const parsed = parseArgs({ schema }, args)
  if (!parsed.ok)
    throw new RuntimeError(
      'invalid_decision',
      `${hold.tool} does not take these arguments: ${parsed.reason}. The approval still waits.`,
    )
  const edited = { args: parsed.args, hash: argsHash(parsed.args) }
  return { tool, edited: tool === undefined ? { ...edited, checkedBy: 'schema' as const } : edited }
}
