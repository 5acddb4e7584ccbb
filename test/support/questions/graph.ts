import { Annotation, END, interrupt, START, StateGraph } from '@langchain/langgraph'

const State = Annotation.Root({ answers: Annotation<string[]> })

export const graph = new StateGraph(State)
  .addNode('ask', () => ({
    answers: [interrupt<string, string>('first?'), interrupt<string, string>('second?')],
  }))
  .addEdge(START, 'ask')
  .addEdge('ask', END)
  .compile()
