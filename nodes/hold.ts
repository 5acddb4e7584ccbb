import { interrupt, type LangGraphRunnableConfig } from '@langchain/langgraph'
import { approvalId } from '../runtime/call.ts'
import { HoldAnswer, type HoldRequest } from '../runtime/hold.ts'
import { threadOf } from './judge-calls.ts'
import type { AgentState, AgentUpdate, CallDecision } from './state.ts'

/**
 * Stops until people have decided every held call of the message. One interrupt for all of them: LangGraph derives
 * an interrupt's id from the task, so a second one in the same task would share it. The node has no effect of its
 * own, because it runs again from its first line when it is resumed.
 */
export function hold(state: AgentState, config: LangGraphRunnableConfig): AgentUpdate {
  const threadId = threadOf(config)
  // A copied thread has the original's verdicts, but no call of it is released by what was decided there.
  const held = state.verdicts
    .filter(({ action }) => action === 'hold')
    .map((verdict) => {
      const key = { threadId, messageId: verdict.message_id, callId: verdict.call_id }
      return { ...verdict, approval_id: approvalId(key, verdict.args_hash) }
    })
  // A graph may come here whatever the policy said. Without any verdict nobody knows that nothing is to be asked.
  if (held.length === 0 && state.verdicts.length > 0) return { decisions: {} }
  const requests = held.map(({ action: _, ...entry }): HoldRequest => ({
    ...entry,
    kind: 'tool',
    replaces: null,
  }))
  const answer: unknown = interrupt(holdPayload(requests))
  const { decisions } = HoldAnswer.parse(answer)
  return {
    decisions: Object.fromEntries(
      held.map(({ call_id, approval_id, args_hash }) => {
        const own = decisions.find((one) => one.approval_id === approval_id && one.args_hash === args_hash)
        // Only the runtime makes answers, from the holds' rows; one that is not ours decides nothing.
        if (own === undefined) throw new Error(`The answer has no decision for approval ${approval_id}.`)
        const { type, args, message } = own
        return [
          call_id,
          { type, ...(args ? { args } : {}), ...(message === undefined ? {} : { message }) } as CallDecision,
        ]
      }),
    ),
  }
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
