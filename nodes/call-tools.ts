import type { ToolMessage } from '@langchain/core/messages'
import type { LangGraphRunnableConfig } from '@langchain/langgraph'
import { encode } from '../runtime/json.ts'
import type { Tool } from '../tools/define.ts'
import { executeCall, type ToolResult } from '../tools/executor.ts'
import { riskOf, type Call, type Verdict } from '../tools/policy.ts'
import { openMessage, toolMessage } from './conversation.ts'
import { inParallel } from './in-parallel.ts'
import { threadOf } from './judge-calls.ts'
import type { AgentState, AgentUpdate, CallDecision } from './state.ts'

/** Tool calls of one message that run at a time. */
const AT_A_TIME = 8
const PREVIEW_CHARS = 200

/** Runs the calls of the newest message side by side, as the policy and people decided. Every call gets one answer. */
export function callTools({ tools }: { tools: Tool[] }) {
  return async (state: AgentState, config: LangGraphRunnableConfig): Promise<AgentUpdate> => {
    const message = openMessage(state.messages)
    if (message === undefined) return {}
    const messageId = message.id ?? ''
    const threadId = threadOf(config)
    const answers = await inParallel(
      message.tool_calls ?? [],
      AT_A_TIME,
      async (given): Promise<ToolMessage> => {
        const callId = given.id ?? ''
        const call: Call = { key: { threadId, messageId, callId }, tool: given.name, args: given.args }
        const verdict = state.verdicts.find((one) => one.call_id === callId && one.message_id === messageId)
        const result = await carryOut(tools, call, verdict, state.decisions[callId], config)
        return toolMessage(messageId, callId, given.name, result)
      },
    )
    return { messages: answers }
  }
}

/** Says what becomes of one call. A call that the state has no verdict for is left to the executor, which asks again. */
async function carryOut(
  tools: Tool[],
  call: Call,
  verdict: Verdict | undefined,
  decision: CallDecision | undefined,
  config: LangGraphRunnableConfig,
): Promise<ToolResult> {
  if (verdict?.action === 'invalid')
    return told(call, config, { status: 'error', code: 'INVALID_ARGS', message: verdict.reason })
  if (verdict?.action === 'deny')
    return told(call, config, { status: 'error', code: 'DENIED', message: verdict.reason })
  if (decision?.type === 'reject') {
    const why = decision.message === undefined ? 'without a reason' : `: ${decision.message}`
    return told(call, config, {
      status: 'error',
      code: 'DENIED',
      message: `A person rejected this call${why}`,
    })
  }
  if (decision?.type === 'respond') {
    return told(call, config, {
      status: 'ok',
      result: { answered_by: 'person', message: decision.message ?? '' },
    })
  }
  return await run(tools, decision?.type === 'edit' ? { ...call, args: decision.args } : call, config)
}

async function run(tools: Tool[], call: Call, config: LangGraphRunnableConfig): Promise<ToolResult> {
  const tool = tools.find(({ name }) => name === call.tool)
  const parsed = tool?.schema.safeParse(call.args)
  const risk = tool && parsed?.success === true ? riskOf(tool, parsed.data as never) : 'unknown'
  config.writer?.({ type: 'tool_start', call_id: call.key.callId, name: call.tool, args: call.args, risk })
  const started = performance.now()
  const result = await executeCall(tools, call)
  return told(call, config, result, performance.now() - started)
}

function told(call: Call, config: LangGraphRunnableConfig, result: ToolResult, ms = 0): ToolResult {
  config.writer?.({
    type: 'tool_done',
    call_id: call.key.callId,
    name: call.tool,
    status: result.status === 'ok' ? 'ok' : result.code,
    preview: (result.status === 'ok' ? encode(result.result) : result.message).slice(0, PREVIEW_CHARS),
    ms: Math.round(ms),
  })
  return result
}
