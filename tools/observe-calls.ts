import { argsHash, hasCanonicalForm } from '../runtime/call.ts'
import { toJson } from '../runtime/json.ts'
import { currentRun } from '../runtime/run-context.ts'
import type { Tool } from './define.ts'
import type { ToolResult } from './invoke.ts'
import type { Call, Verdict } from './policy.ts'

/** What became of a call, and how. */
export interface EndedCall {
  call: Call
  verdict: Verdict | undefined
  result: ToolResult
  /** The result is a person's word, not the tool's. */
  byPerson: boolean
  /** The tool was called now; else the result may still be one of before. */
  ran: boolean
}

/** Notes, before the results are in the state, whose words they bring into the thread, and which calls were refused. */
export async function observeCalls(tools: Tool[], ended: EndedCall[]): Promise<void> {
  const run = currentRun()
  if (run === undefined) return
  const read = ended
    .filter(({ result, byPerson, ran }) => ran || (result.status === 'ok' && !byPerson))
    .map(({ call }) => tools.find(({ name }) => name === call.tool))
    .filter((tool) => tool !== undefined && tool.trusted !== true)
  await run.observed.read(read.map((tool) => tool?.name ?? ''))
  await run.observed.refused(
    ended.flatMap(({ call, verdict, result, byPerson }) => {
      if (result.status === 'ok' || result.code !== 'DENIED' || byPerson) return []
      return [
        {
          call: call.key,
          tool: call.tool,
          argsHash: hashOf(call.args),
          rule: verdict?.action === 'deny' ? verdict.rule : null,
          policyVersion: verdict?.policy_version ?? '',
          message: result.message,
        },
      ]
    }),
  )
}

function hashOf(args: unknown): string | null {
  const json = toJson(args)
  return hasCanonicalForm(json) ? argsHash(json) : null
}
