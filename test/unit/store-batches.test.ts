import { setTimeout as sleep } from 'node:timers/promises'
import { getStore, InMemoryStore, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import type { Operation, OperationResults } from '@langchain/langgraph-checkpoint'
import { expect, test, vi } from 'vitest'
import { mendStoreBatches } from '../../runtime/store-batches.ts'

mendStoreBatches()

class Counting extends InMemoryStore {
  readonly batches: number[] = []
  override async batch<Op extends readonly Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    this.batches.push(operations.length)
    return await super.batch(operations)
  }
}

async function inGraph(store: InMemoryStore, work: () => Promise<unknown>): Promise<void> {
  const graph = new StateGraph(MessagesAnnotation).addNode('works', async () => {
    await work()
    return {}
  })
  await graph.addEdge(START, 'works').compile({ store }).invoke({ messages: [] })
}

test('operations of one moment are one batch, and each gets its own answer', async () => {
  const store = new Counting()
  await inGraph(store, async () => {
    await Promise.all(['a', 'b', 'c'].map(async (key) => await getStore()?.put(['n'], key, { key })))
    const items = await Promise.all(['c', 'a'].map(async (key) => await getStore()?.get(['n'], key)))
    expect(items.map((item) => item?.key)).toEqual(['c', 'a'])
    expect(await getStore()?.listNamespaces({ prefix: ['n'] })).toEqual([['n']])
  })
  expect(store.batches).toEqual([3, 2, 1])
})

test('an operation that nobody waits for is done before the graph ends', async () => {
  const store = new Counting()
  await inGraph(store, () => {
    void getStore()?.put(['n'], 'late', {})
    return Promise.resolve()
  })
  expect(await store.get(['n'], 'late')).not.toBeNull()
})

test('a batch that fails fails for all who asked, and the next one works', async () => {
  const store = new Counting()
  const failing = vi.spyOn(store, 'batch').mockRejectedValueOnce(new Error('Away.'))
  await inGraph(store, async () => {
    const both = await Promise.allSettled(['a', 'b'].map(async (key) => await getStore()?.get(['n'], key)))
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await getStore()?.get(['n'], 'a')).toBeNull()
  })
  expect(failing).toHaveBeenCalledTimes(2)
})

test('a graph that waits sets no timers for its store', async () => {
  const store = new Counting()
  const timers = vi.spyOn(globalThis, 'setTimeout')
  await inGraph(store, () => sleep(50))
  const before = timers.mock.calls.length
  timers.mockRestore()
  expect(before).toBeLessThan(10)
})
