import { AIMessage, ToolMessage } from '@langchain/core/messages'
import { END, START, StateGraph } from '@langchain/langgraph'
import { ToolNode } from '@langchain/langgraph/prebuilt'
import { reactGraph } from '../../../graphs/react.ts'
import { callTools } from '../../../nodes/call-tools.ts'
import { AgentState } from '../../../nodes/state.ts'
import { Services } from '../../../runtime/services.ts'
import { reachOf } from '../../../tools/capabilities.ts'
import type { ToolCallContext } from '../../../tools/define.ts'
import { put, tools } from './tools.ts'

export const agent = reactGraph({ tools }).compile()

/** Has no policy and no hold. */
export const noHold = new StateGraph(AgentState)
  .addNode('tools', callTools({ tools }))
  .addEdge(START, 'tools')
  .addEdge('tools', END)
  .compile()

/** LangChain's own way to tools. */
export const toolNode = new StateGraph(AgentState)
  .addNode('tools', new ToolNode([put as never], { handleToolErrors: true }))
  .addEdge(START, 'tools')
  .addEdge('tools', END)
  .compile()

/** A node that calls the tool itself, in every way that it has. */
export const byHand = new StateGraph(AgentState)
  .addNode('calls', async ({ messages }) => {
    const call = messages.findLast((message) => message instanceof AIMessage)?.tool_calls?.[0]
    const args = { note: String(call?.args['note']) }
    const { signal } = new AbortController()
    const context: ToolCallContext = {
      threadId: 'forged',
      callId: 'forged',
      idempotencyKey: 'forged',
      attempt: 'forged',
      signal,
      secret: () => '',
      ...reachOf(put, 'forged', new Services(), signal),
    }
    const invoke = (put as { invoke?: (args: unknown) => Promise<unknown> }).invoke
    const tries = await Promise.allSettled([
      put.run(args, context),
      put.run(args, undefined as never),
      { ...put }.run(args, context),
      Promise.try(() => (invoke as (args: unknown) => Promise<unknown>)(args)),
    ])
    const words = tries.map((one) => (one.status === 'rejected' ? String(one.reason) : 'it ran'))
    return { messages: [new ToolMessage({ tool_call_id: call?.id ?? '', content: words.join('\n') })] }
  })
  .addEdge(START, 'calls')
  .addEdge('calls', END)
  .compile()
