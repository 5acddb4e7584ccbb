import { interrupt } from '@langchain/langgraph'
import { HoldAnswer } from '../runtime/hold.ts'
import type { AgentState, AgentUpdate, CallDecision } from './state.ts'

/**
 * Stops until people have decided every held call of the message. One interrupt for all of them: LangGraph derives
 * an interrupt's id from the task, so a second one in the same task would share it. The node has no effect of its
 * own, because it runs again from its first line when it is resumed.
 */
export function hold(state: AgentState): AgentUpdate {
  const held = state.verdicts.filter(({ action }) => action === 'hold')
  const answer: unknown = interrupt({
    type: 'holdpoint.hold',
    holds: held.map(({ approval_id, message_id, call_id, tool, args, args_hash, risk, reason }) => ({
      approval_id,
      message_id,
      call_id,
      tool,
      args,
      args_hash,
      risk,
      reason,
    })),
    action_requests: held.map(({ tool, args, reason }) => ({ name: tool, args, description: reason })),
    review_configs: held.map(({ tool }) => ({
      action_name: tool,
      allowed_decisions: ['approve', 'edit', 'reject', 'respond'],
    })),
  })
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
