import { isAIMessage, ToolMessage } from '@langchain/core/messages'
import { getCurrentTaskInput } from '@langchain/langgraph'
import { nameUuid } from '../runtime/ids.ts'
import { currentRun } from '../runtime/run-context.ts'
import { type LangChainCall, type Tool, ToolError } from './define.ts'
import { executeCall } from './executor.ts'
import type { ToolResult } from './invoke.ts'
import { observeCalls } from './observe-calls.ts'
import { renderResult } from './render-result.ts'

/**
 * A call that comes the way of LangChain's own tools, such as from its `ToolNode`: by the executor, like every other. What
 * needs people is refused here, because nobody was asked: that takes the nodes `judgeCalls`, `hold` and `callTools`.
 */
export async function callFromLangChain(tool: Tool, { args, callId }: LangChainCall): Promise<ToolMessage> {
  const run = currentRun()
  if (run === undefined || callId === undefined)
    throw new ToolError('DENIED', `${tool.name} runs only as a call of a message, inside a Holdpoint run.`)
  const messageId = messageOf(callId)
  if (messageId === undefined)
    throw new ToolError('DENIED', `${tool.name} runs only as a call of a message in the graph's state.`)
  const call = { key: { threadId: run.threadId, messageId, callId }, tool: tool.name, args }
  let ran = false
  const execution = await executeCall([tool], call, () => {
    ran = true
  })
  const result: ToolResult =
    'ask' in execution ? { status: 'error', code: 'DENIED', message: execution.ask.reason } : execution
  await observeCalls([tool], [{ call, verdict: undefined, result, byPerson: false, ran }])
  return new ToolMessage({
    id: nameUuid('tool-message', messageId, callId),
    tool_call_id: callId,
    name: tool.name,
    status: result.status === 'ok' ? 'success' : 'error',
    content: renderResult(tool.name, result),
  })
}

/** The newest message that asks for it, in the state that the calling node was given: providers repeat ids of calls. */
function messageOf(callId: string): string | undefined {
  const state: unknown = getCurrentTaskInput()
  const messages: unknown = Array.isArray(state)
    ? state
    : typeof state === 'object' && state !== null && 'messages' in state
      ? state.messages
      : []
  const asking = (Array.isArray(messages) ? messages : []).findLast(
    (message) => isAIMessage(message) && message.tool_calls?.some(({ id }) => id === callId),
  ) as { id?: string } | undefined
  return asking?.id
}
