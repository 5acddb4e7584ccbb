import type { LangGraphRunnableConfig } from '@langchain/langgraph'
import { currentRun } from '../runtime/run-context.ts'
import type { Tool } from '../tools/define.ts'
import { judge, type Verdict } from '../tools/policy.ts'
import { lookIfAsked } from '../tools/policy/current.ts'
import { openMessage } from './conversation.ts'
import { whyNotAgain } from './loop.ts'
import { ownTools } from './own-tools.ts'
import type { AgentState, AgentUpdate } from './state.ts'

/** Writes the policy's verdict on every call of the newest message, and announces those that will be held. */
export function judgeCalls({ tools }: { tools: Tool[] }) {
  return async (state: AgentState, config: LangGraphRunnableConfig): Promise<AgentUpdate> => {
    const message = openMessage(state.messages)
    const threadId = threadOf(config)
    await lookIfAsked()
    const own = ownTools(tools, config)
    const verdicts = (message?.tool_calls ?? []).map((call): Verdict => {
      const key = { threadId, messageId: message?.id ?? '', callId: call.id ?? '' }
      const verdict = judge(own, { key, tool: call.name, args: call.args })
      const reason = whyNotAgain(state.messages, call)
      return reason === undefined ? verdict : { ...verdict, action: 'deny', reason }
    })
    for (const { action, approval_id, tool } of verdicts) {
      if (action === 'hold') config.writer?.({ type: 'hold', approval_id, tool })
    }
    return { verdicts }
  }
}

/** The thread's id: the run's, or where a graph is run by hand the configuration's. */
export function threadOf(config: LangGraphRunnableConfig): string {
  return currentRun()?.threadId ?? String(config.configurable?.['thread_id'] ?? '')
}
