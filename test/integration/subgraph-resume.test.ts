import {
  Annotation,
  Command,
  END,
  interrupt,
  MemorySaver,
  Send,
  START,
  StateGraph,
} from '@langchain/langgraph'
import { beforeAll, expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { mendSubgraphResume } from '../../runtime/subgraph-resume.ts'

beforeAll(mendSubgraphResume)

const State = Annotation.Root({
  done: Annotation<string[]>({ reducer: (all, more) => [...all, ...more], default: () => [] }),
})

/** Three parallel branches in a subgraph, of which one asks; `ran` counts how often each was executed. */
function nested(how: 'node' | 'function' | 'function without config') {
  const ran: Record<string, number> = {}
  const branch = (name: string) => {
    ran[name] = (ran[name] ?? 0) + 1
    return { done: [name === 'asks' ? `asks: ${String(interrupt('?'))}` : name] }
  }
  const inner = new StateGraph(State)
    .addNode('branch', ({ name }: { name: string }) => branch(name))
    .addConditionalEdges(START, () => ['one', 'asks', 'two'].map((name) => new Send('branch', { name })), [
      'branch',
    ])
    .addEdge('branch', END)
    .compile()
  const outer = new StateGraph(State)
  const graph = (
    how === 'node'
      ? outer.addNode('sub', inner)
      : outer.addNode(
          'sub',
          async (_, config) => ({
            done: (await (how === 'function' ? inner.invoke({}, config) : inner.invoke({}))).done,
          }),
          { subgraphs: [inner] },
        )
  )
    .addEdge(START, 'sub')
    .addEdge('sub', END)
    .compile({ checkpointer: new MemorySaver() })
  return { graph, ran }
}

test.for(['node', 'function', 'function without config'] as const)(
  'branches of a subgraph that had finished do not run again when another is resumed (%s)',
  async (how) => {
    const { graph, ran } = nested(how)
    const config = { configurable: { thread_id: newId() } }
    await graph.invoke({}, config)
    const [task] = (await graph.getState(config)).tasks
    const id = task?.interrupts[0]?.id ?? ''
    const { done } = await graph.invoke(new Command({ resume: { [id]: 'yes' } }), config)
    expect(done.toSorted()).toEqual(['asks: yes', 'one', 'two'])
    expect(ran).toEqual({ one: 1, asks: 2, two: 1 })
  },
)

test('a replay from a checkpoint before the subgraph still runs all of it', async () => {
  const { graph, ran } = nested('node')
  const config = { configurable: { thread_id: newId() } }
  await graph.invoke({}, config)
  const [task] = (await graph.getState(config)).tasks
  await graph.invoke(new Command({ resume: { [task?.interrupts[0]?.id ?? '']: 'yes' } }), config)
  const history = await Array.fromAsync(graph.getStateHistory(config))
  const before = history.find(({ next }) => next.includes('sub'))
  await graph.invoke(null, before?.config)
  expect(ran).toEqual({ one: 2, asks: 3, two: 2 })
})
