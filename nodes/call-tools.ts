import { interrupt, type LangGraphRunnableConfig } from '@langchain/langgraph'
import { encode } from '../runtime/json.ts'
import type { Tool } from '../tools/define.ts'
import { executeCall, type Execution } from '../tools/executor.ts'
import type { ToolResult } from '../tools/invoke.ts'
import { type Call, parseArgs, riskOf, type Verdict } from '../tools/policy.ts'
import { openMessage, toolMessage } from './conversation.ts'
import { holdPayload } from './hold.ts'
import { inParallel } from './in-parallel.ts'
import { threadOf } from './judge-calls.ts'
import { observeCalls } from '../tools/observe-calls.ts'
import { ownTools } from './own-tools.ts'
import { reportCall } from './report-call.ts'
import type { AgentState, AgentUpdate, CallDecision } from './state.ts'

/** Tool calls of one message that run at a time. */
const AT_A_TIME = 8
const PREVIEW_CHARS = 200

interface Asked {
  call: Call
  verdict: Verdict | undefined
  decision: CallDecision | undefined
}

/**
 * Runs the calls of the newest message side by side, as the policy and people decided. Every call gets one answer.
 * Where it is not known whether a call happened, or what people released is not what would happen now, the node stops
 * until they have said so.
 */
export function callTools({ tools }: { tools: Tool[] }) {
  return async (state: AgentState, config: LangGraphRunnableConfig): Promise<AgentUpdate> => {
    const own = ownTools(tools, config)
    const asked = callsOf(state, threadOf(config))
    const ended = new Map<string, ToolResult>()
    const ran = new Set<string>()
    for (;;) {
      const open = asked.filter(({ call }) => !ended.has(call.key.callId))
      const results = await inParallel(open, AT_A_TIME, (one) => carryOut(own, one, config, ran))
      const questions = results.flatMap((result) => ('ask' in result ? [result.ask] : []))
      for (const [index, { call }] of open.entries()) {
        const result = results[index]
        if (result !== undefined && !('ask' in result)) ended.set(call.key.callId, result)
      }
      if (questions.length === 0) break
      for (const { approval_id, tool } of questions) config.writer?.({ type: 'hold', approval_id, tool })
      // What it returns says nothing: decisions are in the ledger and the holds, which the next round asks. An answer
      // that was given to an earlier question of this task comes back here first, and then the next round stops again.
      interrupt(holdPayload(questions))
    }
    const calls = asked.map(({ call, verdict, decision }) => {
      const { callId } = call.key
      const result = ended.get(callId)
      if (result === undefined) throw new Error(`Call ${callId} has no result.`)
      const byPerson = decision?.type === 'reject' || decision?.type === 'respond'
      return { call, verdict, result, byPerson, ran: ran.has(callId) }
    })
    await observeCalls(tools, calls)
    return {
      messages: calls.map(({ call: { key, tool }, result }) =>
        toolMessage(key.messageId, key.callId, tool, result),
      ),
    }
  }
}

function callsOf(state: AgentState, threadId: string): Asked[] {
  const message = openMessage(state.messages)
  const messageId = message?.id ?? ''
  return (message?.tool_calls ?? []).map(({ id: callId = '', name, args }) => {
    const verdict = state.verdicts.find((one) => one.call_id === callId && one.message_id === messageId)
    return {
      call: { key: { threadId, messageId, callId }, tool: name, args, held: verdict?.action === 'hold' },
      verdict,
      decision: state.decisions[callId],
    }
  })
}

/** Says what becomes of one call. A call that the state has no verdict for is left to the executor, which asks again. */
async function carryOut(
  tools: Tool[],
  asked: Asked,
  config: LangGraphRunnableConfig,
  ran: Set<string>,
): Promise<Execution> {
  const { call, decision } = asked
  const answer = answerWithoutRunning(asked)
  if (answer !== undefined) return told(call, config, answer)
  const edited = decision?.type === 'edit' ? { ...call, args: decision.args } : call
  return await run(tools, edited, config, ran)
}

function answerWithoutRunning({ verdict, decision }: Asked): ToolResult | undefined {
  if (verdict?.action === 'invalid') return { status: 'error', code: 'INVALID_ARGS', message: verdict.reason }
  if (verdict?.action === 'deny') return { status: 'error', code: 'DENIED', message: verdict.reason }
  if (decision?.type === 'reject') {
    const why = decision.message === undefined ? ' without a reason.' : `: ${decision.message}`
    return { status: 'error', code: 'DENIED', message: `A person rejected this call${why}` }
  }
  if (decision?.type === 'respond') {
    return { status: 'ok', result: { answered_by: 'person', message: decision.message ?? '' } }
  }
  return undefined
}

async function run(
  tools: Tool[],
  call: Call,
  config: LangGraphRunnableConfig,
  ran: Set<string>,
): Promise<Execution> {
  const report = await reportCall(call, config)
  let started = performance.now()
  const result = await executeCall(tools, call, () => {
    started = performance.now()
    ran.add(call.key.callId)
    report.started()
    config.writer?.({
      type: 'tool_start',
      call_id: call.key.callId,
      name: call.tool,
      args: call.args,
      risk: riskOfCall(tools, call),
    })
  })
  await report.ended(result)
  return 'ask' in result ? result : told(call, config, result, performance.now() - started)
}

function riskOfCall(tools: Tool[], call: Call): string {
  const tool = tools.find(({ name }) => name === call.tool)
  const parsed = tool && parseArgs(tool, call.args)
  return tool && parsed?.ok === true ? riskOf(tool, parsed.args) : 'unknown'
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
