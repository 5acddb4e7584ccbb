import {
  Annotation,
  END,
  interrupt,
  type LangGraphRunnableConfig,
  START,
  StateGraph,
} from '@langchain/langgraph'

const State = Annotation.Root({ seen: Annotation<unknown>, answer: Annotation<unknown> })

/** Says what a node may know of who asked. */
export const echo = new StateGraph(State)
  .addNode('sees', (_state, { configurable }: LangGraphRunnableConfig) => ({
    seen: Object.fromEntries(
      Object.entries(configurable ?? {}).filter(([key]) => /^(langgraph_auth_|x-|tone$|tenant$)/.test(key)),
    ),
  }))
  .addEdge(START, 'sees')
  .addEdge('sees', END)
  .compile()

export const asks = new StateGraph(State)
  .addNode('asks', () => ({ answer: interrupt('Well?') }))
  .addEdge(START, 'asks')
  .addEdge('asks', END)
  .compile()
