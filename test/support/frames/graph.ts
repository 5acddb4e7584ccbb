import {
  Annotation,
  END,
  type LangGraphRunnableConfig,
  START,
  StateGraph,
  StreamChannel,
} from '@langchain/langgraph'

/** Graphs whose frames come from several depths, and on channels of their own. */

const Trail = Annotation.Root({
  trail: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
})

const inner = new StateGraph(Trail)
  .addNode('leaf', (_state, { writer }: LangGraphRunnableConfig) => {
    writer?.({ name: 'progress', done: 1 })
    writer?.({ done: 'half' })
    return { trail: ['leaf'] }
  })
  .addEdge(START, 'leaf')
  .addEdge('leaf', END)
  .compile()

const middle = new StateGraph(Trail)
  .addNode('inside', inner)
  .addEdge(START, 'inside')
  .addEdge('inside', END)
  .compile()

/** Counts what the others tell, for clients that ask for `custom:counted`. */
function counter() {
  const counted = StreamChannel.remote<{ updates: number }>('counted')
  let updates = 0
  return {
    init: () => ({ counted }),
    process({ method }: { method: string }) {
      if (method === 'updates') counted.push({ updates: ++updates })
      return true
    },
  }
}

export const nested = new StateGraph(Trail)
  .addNode('works', middle)
  .addNode('last', () => ({ trail: ['last'] }))
  .addEdge(START, 'works')
  .addEdge('works', 'last')
  .addEdge('last', END)
  .compile({ transformers: [counter] })
