import { interrupt, type LangGraphRunnableConfig } from '@langchain/langgraph'
import { approvalId, type CallKey } from '../runtime/call.ts'
import { HoldAnswer, type HoldRequest } from '../runtime/hold.ts'
import { NOTHING_SHOWN } from '../runtime/preview.ts'
import { currentRun } from '../runtime/run-context.ts'
import { argsSchemaOf } from '../tools/args-schema.ts'
import type { Tool } from '../tools/define.ts'
import { type Call, judge } from '../tools/policy.ts'
import { showCall } from '../tools/preview.ts'
import { openMessage } from './conversation.ts'
import { threadOf } from './judge-calls.ts'
import { ownTools } from './own-tools.ts'
import type { AgentState, AgentUpdate, CallDecision } from './state.ts'

/**
 * Stops until people have decided every held call of the message. One interrupt for all of them: LangGraph derives
 * an interrupt's id from the task, so a second one in the same task would share it. The node has no effect of its
 * own, because it runs again from its first line when it is resumed.
 *
 * Which calls are held the state says, or the policy where the state says nothing. What people read of them is never
 * the state's, which a client can write: the policy judges the message's own calls here once more.
 */
export function hold({ tools }: { tools: Tool[] }) {
  return async (state: AgentState, config: LangGraphRunnableConfig): Promise<AgentUpdate> => {
    const threadId = threadOf(config)
    const calls = callsOf(state, threadId)
    // The task runs again for an answer that is there: nobody reads what it would ask.
    const answered = isAnswered(config)
    const asked = answered
      ? []
      : await Promise.all(calls.map((call) => requestOf(ownTools(tools, config), call)))
    const requests = asked.filter((request) => request !== undefined)
    if (requests.length === 0 && !answered) return { decisions: {} }
    const answer: unknown = interrupt(holdPayload(requests))
    // Whoever answered may have written another message in the same breath: what was asked is of the verdicts' then.
    const judged = state.verdicts.map(({ message_id: messageId, call_id: callId }) => ({
      threadId,
      messageId,
      callId,
    }))
    return { decisions: decisionsOf([...calls.map(({ key }) => key), ...judged], HoldAnswer.parse(answer)) }
  }
}

/** The newest message's calls that may have to be asked for: not those of which the state says that they are not held. */
function callsOf({ messages, verdicts }: AgentState, threadId: string): Call[] {
  const message = openMessage(messages)
  const messageId = message?.id ?? ''
  return (message?.tool_calls ?? []).flatMap(({ id: callId = '', name, args }) => {
    const verdict = verdicts.find((one) => one.call_id === callId && one.message_id === messageId)
    if (verdict !== undefined && verdict.action !== 'hold') return []
    return [{ key: { threadId, messageId, callId }, tool: name, args, held: verdict !== undefined }]
  })
}

/** What people are asked; nothing of a call that the policy in force would not let them release. */
async function requestOf(tools: Tool[], call: Call): Promise<HoldRequest | undefined> {
  const { action, ...verdict } = judge(tools, call)
  if (action === 'deny' || action === 'invalid' || (action === 'allow' && call.held !== true))
    return undefined
  const run = currentRun()
  const tool = tools.find(({ name }) => name === call.tool)
  const shown = tool && run ? await showCall(tool, verdict.args, call.key, run) : NOTHING_SHOWN
  const args_schema = tool === undefined ? null : argsSchemaOf(tool)
  return { ...verdict, ...shown, kind: 'tool', replaces: null, args_schema }
}

/** By LangGraph's own note of the task. Where that is missing the question is only made again. */
function isAnswered({ configurable }: LangGraphRunnableConfig): boolean {
  const scratchpad = configurable?.['__pregel_scratchpad'] as { resume?: unknown[] } | undefined
  return (scratchpad?.resume?.length ?? 0) > 0
}

/** By call id. A call whose schema or policy is another since it was asked for still gets what was said of it. */
function decisionsOf(calls: CallKey[], { decisions }: HoldAnswer): Record<string, CallDecision> {
  return Object.fromEntries(
    decisions.flatMap(({ approval_id, args_hash, type, args, message }) => {
      const own = calls.find((key) => approvalId(key, args_hash) === approval_id)
      const said = { type, ...(args ? { args } : {}), ...(message === undefined ? {} : { message }) }
      // What is of no call here decides nothing.
      return own === undefined ? [] : [[own.callId, said as CallDecision]]
    }),
  )
}

/** The interrupt's value: our entries, and the same once more in the shape of LangChain's human-in-the-loop clients. */
export function holdPayload(holds: HoldRequest[]) {
  return {
    type: 'holdpoint.hold',
    holds,
    action_requests: holds.map(({ tool, args, reason }) => ({ name: tool, args, description: reason })),
    review_configs: holds.map(({ tool, kind, replaces }) => ({
      action_name: tool,
      allowed_decisions:
        kind === 'tool' && replaces === null
          ? ['approve', 'edit', 'reject', 'respond']
          : ['approve', 'reject', 'respond'],
    })),
  }
}
