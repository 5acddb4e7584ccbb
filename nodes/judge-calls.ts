import type { LangGraphRunnableConfig } from '@langchain/langgraph'
import { currentRun } from '../runtime/run-context.ts'
import type { Tool } from '../tools/define.ts'
import { judge, type Verdict } from '../tools/policy.ts'
import { showCall } from '../tools/preview.ts'
import { openMessage } from './conversation.ts'
import type { AgentState, AgentUpdate } from './state.ts'

/**
 * Writes the policy's verdict on every call of the newest message, with what people are to see of those that will be
 * held, and announces these.
 */
export function judgeCalls({ tools }: { tools: Tool[] }) {
  return async (state: AgentState, config: LangGraphRunnableConfig): Promise<AgentUpdate> => {
    const message = openMessage(state.messages)
    const threadId = threadOf(config)
    const judged = (message?.tool_calls ?? []).map((call) =>
      judge(tools, {
        key: { threadId, messageId: message?.id ?? '', callId: call.id ?? '' },
        tool: call.name,
        args: call.args,
      }),
    )
    const verdicts = await Promise.all(judged.map((verdict) => withPreview(tools, verdict, threadId)))
    for (const { action, approval_id, tool } of verdicts) {
      if (action === 'hold') config.writer?.({ type: 'hold', approval_id, tool })
    }
    return { verdicts }
  }
}

async function withPreview(tools: Tool[], verdict: Verdict, threadId: string): Promise<Verdict> {
  const run = currentRun()
  const tool = tools.find(({ name }) => name === verdict.tool)
  if (verdict.action !== 'hold' || tool === undefined || run === undefined) return verdict
  return { ...verdict, ...(await showCall(tool, verdict.args, { threadId, callId: verdict.call_id }, run)) }
}

/** The thread's id: the run's, or where a graph is run by hand the configuration's. */
export function threadOf(config: LangGraphRunnableConfig): string {
  return currentRun()?.threadId ?? String(config.configurable?.['thread_id'] ?? '')
}
