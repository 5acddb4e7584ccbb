import { BaseChatModel } from '@langchain/core/language_models/chat_models'
import { AIMessage, type BaseMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { Annotation, END, interrupt, START, StateGraph } from '@langchain/langgraph'
import { createAgent, humanInTheLoopMiddleware } from 'langchain'
import { z } from 'zod'

/** Graphs that ask people in the shapes that are around: LangChain's middleware, Agent Inbox, one of nobody's. */

/** Calls the tool once and then says what came of it. */
class OneCall extends BaseChatModel {
  _llmType() {
    return 'one-call'
  }
  override bindTools() {
    return this
  }
  _generate(messages: BaseMessage[]) {
    const last = messages.at(-1)
    const call = { id: 'call-1', name: 'pay', args: { amount: 10 }, type: 'tool_call' as const }
    const message =
      last?.type === 'tool'
        ? new AIMessage(`The tool said: ${last.text}`)
        : new AIMessage({ content: '', tool_calls: [call] })
    return Promise.resolve({ generations: [{ message, text: message.text }] })
  }
}

const pay = tool(({ amount }) => `paid ${amount}`, {
  name: 'pay',
  description: 'Pays.',
  schema: z.object({ amount: z.number() }),
})

export const middleware = createAgent({
  model: new OneCall({}),
  tools: [pay],
  middleware: [humanInTheLoopMiddleware({ interruptOn: { pay: true } })],
}).graph

const Answers = Annotation.Root({ answer: Annotation<unknown> })
const asking = (value: unknown) =>
  new StateGraph(Answers)
    .addNode('asks', () => ({ answer: interrupt(value) }))
    .addEdge(START, 'asks')
    .addEdge('asks', END)
    .compile()

export const inbox = asking([
  {
    action_request: { action: 'pay', args: { amount: 10 } },
    config: { allow_accept: true, allow_edit: true, allow_respond: true, allow_ignore: true },
    description: 'Pay?',
  },
])

export const custom = asking({ question: 'Which colour?', action_requests: 'none' })
