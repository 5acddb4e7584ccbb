import { Annotation, END, START, StateGraph } from '@langchain/langgraph'

const State = Annotation.Root({ count: Annotation })

export const graph = new StateGraph(State)
  .addNode('first', ({ count }) => ({ count: count + 1 }))
  .addNode('second', ({ count }) => ({ count: count + 1 }))
  .addEdge(START, 'first')
  .addEdge('first', 'second')
  .addEdge('second', END)
  .compile()
