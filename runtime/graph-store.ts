import {
  BaseStore,
  InvalidNamespaceError,
  type Item,
  type Operation,
  type OperationResults,
  type SearchItem,
} from '@langchain/langgraph-checkpoint'
import { type Json, toJson } from './json.ts'
import { LeaseLost, StorageUnavailable } from './lease.ts'
import type { StoreItems } from './ports.ts'
import type { ClaimedRun } from './run.ts'
import { conditionsOf, type ItemWrite, type NamespaceSearch, type StoreItem, whyNoItem } from './store.ts'

const MANY = 1_000_000

type OperationOf<Field extends string> = Extract<Operation, Record<Field, unknown>>

/**
 * The store as a run's graph has it. A batch reads first and writes then, as LangGraph's `InMemoryStore` does: all
 * keys in one statement, each search in one, all writes in one. They hold only while the run's lease does.
 *
 * LangGraph's `PostgresStore` has connections of its own, so it knows neither PGlite nor a lease; it also takes `a:bc`
 * for a part of `a:b`, and no `*` in a namespace.
 */
export class GraphStore extends BaseStore {
  readonly #items: StoreItems
  readonly #run: ClaimedRun
  readonly #failed: (error: Error) => void

  /** `failed` is told when the lease is gone or the database does not answer: nodes may take any error for their own. */
  constructor(items: StoreItems, run: ClaimedRun, failed: (error: Error) => void) {
    super()
    this.#items = items
    this.#run = run
    this.#failed = failed
  }

  override async batch<Op extends Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    try {
      return (await this.#perform(operations)) as OperationResults<Op>
    } catch (error) {
      if (error instanceof LeaseLost || error instanceof StorageUnavailable) this.#failed(error)
      throw error
    }
  }

  async #perform(operations: Operation[]): Promise<unknown[]> {
    const writes = operations.filter(isPut).map(toWrite)
    const gets = operations.filter(isGet).filter((one) => whyNoItem(one) === undefined)
    const [found, others] = await Promise.all([
      gets.length === 0 ? [] : this.#items.get(gets),
      Promise.all(operations.map((one) => this.#ask(one))),
    ])
    if (writes.length > 0 && !(await this.#items.write(writes, this.#run)))
      throw new LeaseLost(this.#run.run_id)
    const items = new Map(gets.map((one, index) => [one as Operation, found[index]]))
    return operations.map((one, index) => {
      if (!isGet(one)) return others[index]
      const item = items.get(one)
      return item == null ? null : toLangGraph(item)
    })
  }

  async #ask(operation: Operation): Promise<SearchItem[] | string[][] | undefined> {
    if ('namespacePrefix' in operation) return await this.#search(operation)
    if (isGet(operation) || isPut(operation)) return undefined
    const { matchConditions = [], maxDepth, limit, offset } = operation
    const conditions = matchConditions as NamespaceSearch['conditions']
    return await this.#items.namespaces({ conditions, maxDepth, limit: limit ?? MANY, offset: offset ?? 0 })
  }

  async #search({ namespacePrefix, filter, query, limit, offset }: OperationOf<'namespacePrefix'>) {
    // An empty place has every label right; one that cannot be holds nothing.
    if (namespacePrefix.length > 0 && whyNoItem({ namespace: namespacePrefix, key: '' }) !== undefined)
      return []
    const conditions = conditionsOf(toJson(filter ?? {}) as Record<string, Json>)
    if (typeof conditions === 'string') throw new Error(`The store knows no operator ${conditions}.`)
    const found = await this.#items.search({
      prefix: namespacePrefix,
      conditions,
      query: query ?? '',
      limit: limit ?? 10,
      offset: offset ?? 0,
    })
    return found.map((item) => ({ ...toLangGraph(item), score: item.score }))
  }
}

function isPut(operation: Operation): operation is OperationOf<'value'> {
  return 'value' in operation
}

function isGet(operation: Operation): operation is Exclude<OperationOf<'key'>, OperationOf<'value'>> {
  return 'key' in operation && !('value' in operation)
}

function toWrite({ namespace, key, value, index }: OperationOf<'value'>): ItemWrite {
  const reason = whyNoItem({ namespace, key })
  if (reason !== undefined) throw new InvalidNamespaceError(reason)
  return { namespace, key, value: toJson(value), index }
}

function toLangGraph({ namespace, key, value, created_at, updated_at }: StoreItem): Item {
  return {
    namespace,
    key,
    value: value as Item['value'],
    createdAt: new Date(created_at),
    updatedAt: new Date(updated_at),
  }
}
