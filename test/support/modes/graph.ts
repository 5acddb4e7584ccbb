import { AIMessage, type BaseMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { END, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import { ToolNode } from '@langchain/langgraph/prebuilt'
import { z } from 'zod'

/** A graph of LangChain's own parts, with a subgraph, that has something for every stream mode. */

const double = tool(({ n }) => String(n * 2), {
  name: 'double',
  description: 'Doubles a number.',
  schema: z.object({ n: z.number() }),
})

const inner = new StateGraph(MessagesAnnotation)
  .addNode('calls', new ToolNode([double]))
  .addEdge(START, 'calls')
  .addEdge('calls', END)
  .compile()

export const graph = new StateGraph(MessagesAnnotation)
  .addNode('asks', (_state, config) => {
    config.writer?.({ asked: 21 })
    const call = { id: 'call-1', name: 'double', args: { n: 21 }, type: 'tool_call' as const }
    return { messages: [new AIMessage({ id: 'asking', content: '', tool_calls: [call] })] }
  })
  .addNode('works', inner)
  .addNode('says', ({ messages }: { messages: BaseMessage[] }) => ({
    messages: [new AIMessage({ id: 'saying', content: `It is ${messages.at(-1)?.text}.` })],
  }))
  .addEdge(START, 'asks')
  .addEdge('asks', 'works')
  .addEdge('works', 'says')
  .addEdge('says', END)
  .compile()
