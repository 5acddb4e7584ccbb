import { AsyncBatchedStore, type BaseStore, type Operation } from '@langchain/langgraph-checkpoint'

const MENDED = Symbol.for('holdpoint.store-batches')

interface Asked {
  operation: Operation
  resolve: (result: unknown) => void
  reject: (error: unknown) => void
}

/** What LangGraph puts around the store of each graph that runs, so that a tick's operations become one batch. */
interface Batched {
  store: BaseStore
  running: boolean
  queue: Map<number, Asked>
  nextKey: number
  processingTask: Promise<unknown> | null
  enqueueOperation(operation: Operation): Promise<unknown>
  start(): void
  stop(): Promise<void>
  batch(operations: Operation[]): Promise<unknown[]>
  put(namespace: string[], key: string, value: object | null, index?: false | string[]): Promise<unknown>
  [MENDED]?: true
}

/**
 * Has a running graph's store work when it is asked to. LangGraph's own looks into its queue every millisecond for as
 * long as the graph runs, also while it waits for a model: 5 % of a core. It also refuses `batch`, and with it
 * `listNamespaces`, and drops the `index` of a `put`.
 *
 * Changes `AsyncBatchedStore` for the whole process, once, however often it is called.
 */
export function mendStoreBatches(): void {
  const prototype = AsyncBatchedStore.prototype as unknown as Batched
  if (prototype[MENDED]) return
  prototype[MENDED] = true
  prototype.start = function () {
    this.running = true
  }
  prototype.stop = async function () {
    this.running = false
    await this.processingTask
  }
  prototype.enqueueOperation = function (operation) {
    return new Promise((resolve, reject) => {
      this.queue.set(this.nextKey++, { operation, resolve, reject })
      if (this.queue.size > 1) return
      this.processingTask = afterBoth(
        this.processingTask,
        nextTurn().then(() => perform(this)),
      )
    })
  }
  prototype.batch = function (operations) {
    return Promise.all(operations.map((one) => this.enqueueOperation(one)))
  }
  prototype.put = function (namespace, key, value, index) {
    return this.enqueueOperation({ namespace, key, value, ...(index === undefined ? {} : { index }) })
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Keeps nothing of either, because a run may have any number of batches. */
async function afterBoth(one: Promise<unknown> | null, other: Promise<unknown>): Promise<void> {
  await Promise.all([one, other])
}

/** Never rejects: whoever asked is told. */
async function perform(batched: Batched): Promise<void> {
  const asked = [...batched.queue.values()]
  batched.queue.clear()
  try {
    const results: unknown[] = await batched.store.batch(asked.map(({ operation }) => operation))
    asked.forEach(({ resolve }, index) => resolve(results[index]))
  } catch (error) {
    for (const { reject } of asked) reject(error)
  }
}
