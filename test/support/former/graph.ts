import { AIMessage } from '@langchain/core/messages'
import { Annotation, END, interrupt, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'

/** A graph that ran elsewhere before, with LangGraph's own saver: it has lists, and asks in itself and in a subgraph. */

const State = Annotation.Root({
  ...MessagesAnnotation.spec,
  turns: Annotation<number>({ reducer: (sum, added) => sum + added, default: () => 0 }),
})

const inner = new StateGraph(MessagesAnnotation)
  .addNode('prepare', () => ({ messages: [new AIMessage({ id: 'prepared', content: 'prepared' })] }))
  .addNode('confirm', () => ({
    messages: [new AIMessage(`confirmed ${interrupt<string, string>('sure?')}`)],
  }))
  .addEdge(START, 'prepare')
  .addEdge('prepare', 'confirm')
  .addEdge('confirm', END)
  .compile()

export const builder = new StateGraph(State)
  .addNode('ask', () => ({ turns: 1, messages: [new AIMessage(interrupt<string, string>('well?'))] }))
  .addNode('check', inner)
  .addEdge(START, 'ask')
  .addEdge('ask', 'check')
  .addEdge('check', END)

export const talk = builder.compile()
