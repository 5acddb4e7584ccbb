import { Annotation, END, interrupt, START, StateGraph } from '@langchain/langgraph'

/** Graphs whose states are changed by hand. */

const Trail = Annotation.Root({
  trail: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
})

/** One node after the other; the second asks a question. */
export const steps = new StateGraph(Trail)
  .addNode('first', () => ({ trail: ['first'] }))
  .addNode('asks', () => ({ trail: [`answer: ${String(interrupt('Well?'))}`] }))
  .addNode('last', () => ({ trail: ['last'] }))
  .addEdge(START, 'first')
  .addEdge('first', 'asks')
  .addEdge('asks', 'last')
  .addEdge('last', END)
  .compile()

/** Two nodes at the same time, of which one is done when the other asks. */
export const halves = new StateGraph(Trail)
  .addNode('done', () => ({ trail: ['done'] }))
  .addNode('asks', () => ({ trail: [`answer: ${String(interrupt('Well?'))}`] }))
  .addNode('last', () => ({ trail: ['last'] }))
  .addEdge(START, 'done')
  .addEdge(START, 'asks')
  .addEdge(['done', 'asks'], 'last')
  .addEdge('last', END)
  .compile()

/** Two questions at the same time. */
export const pair = new StateGraph(Trail)
  .addNode('left', () => ({ trail: [`left: ${String(interrupt('Left?'))}`] }))
  .addNode('right', () => ({ trail: [`right: ${String(interrupt('Right?'))}`] }))
  .addEdge(START, 'left')
  .addEdge(START, 'right')
  .addEdge('left', END)
  .addEdge('right', END)
  .compile()

/** A question inside a subgraph, with its own state. */
const inner = new StateGraph(Trail)
  .addNode('before', () => ({ trail: ['before'] }))
  .addNode('asks', () => ({ trail: [`answer: ${String(interrupt('Well?'))}`] }))
  .addEdge(START, 'before')
  .addEdge('before', 'asks')
  .addEdge('asks', END)
  .compile()

export const nested = new StateGraph(Annotation.Root({ trail: Annotation<string[]> }))
  .addNode('works', inner)
  .addNode('last', ({ trail }) => ({ trail: [...trail, 'last'] }))
  .addEdge(START, 'works')
  .addEdge('works', 'last')
  .addEdge('last', END)
  .compile()

/** Another graph for each tenant: its nodes are not known before the config is. */
export function configured({ configurable }: { configurable?: { tenant?: string } }) {
  const node = `for-${configurable?.tenant ?? 'nobody'}`
  return new StateGraph(Trail)
    .addNode(node, () => ({ trail: [node] }))
    .addEdge(START, node)
    .addEdge(node, END)
    .compile()
}
