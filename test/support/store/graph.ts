import {
  Annotation,
  END,
  getStore,
  InMemoryStore,
  type LangGraphRunnableConfig,
  START,
  StateGraph,
} from '@langchain/langgraph'

/** A graph that does in the store what its input says, in its own node and in a subgraph's. */

const State = Annotation.Root({
  namespace: Annotation<string[]>,
  key: Annotation<string>,
  value: Annotation<Record<string, unknown> | null>,
  found: Annotation<unknown>,
  below: Annotation<unknown>,
})

const inner = new StateGraph(State)
  .addNode('looks', async ({ namespace }: typeof State.State) => {
    const store = getStore()
    const [items, namespaces] = await Promise.all([
      store?.search(namespace.slice(0, 1), { filter: { kept: { $ne: false } } }),
      store?.listNamespaces({ prefix: ['*', ...namespace.slice(1)] }),
    ])
    return { below: { keys: items?.map(({ key }) => key), namespaces } }
  })
  .addEdge(START, 'looks')
  .addEdge('looks', END)
  .compile({ store: new InMemoryStore() })

export const graph = new StateGraph(State)
  .addNode(
    'keeps',
    async ({ namespace, key, value }: typeof State.State, { store }: LangGraphRunnableConfig) => {
      const [before] = await Promise.all([
        store?.get(namespace, key),
        value === null ? undefined : store?.put(namespace, key, value),
      ])
      return { found: before?.value ?? null }
    },
  )
  .addNode('looks', inner)
  .addEdge(START, 'keeps')
  .addEdge('keeps', 'looks')
  .addEdge('looks', END)
  // Not used: the server gives its own.
  .compile({ store: new InMemoryStore() })
