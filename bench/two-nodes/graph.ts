import { Annotation, END, START, StateGraph } from '@langchain/langgraph'

/** As little as a graph can do: what is measured around it is the server. bench/official/graph.mjs is the same. */
const State = Annotation.Root({ count: Annotation<number> })

export const graph = new StateGraph(State)
  .addNode('first', ({ count }) => ({ count: count + 1 }))
  .addNode('second', ({ count }) => ({ count: count + 1 }))
  .addEdge(START, 'first')
  .addEdge('first', 'second')
  .addEdge('second', END)
  .compile()
