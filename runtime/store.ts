import type { Json } from './json.ts'
import type { StoreItems } from './ports.ts'

/** Where an item of the store is. */
export interface ItemKey {
  /** From the outermost label to the innermost; labels contain no dots. */
  namespace: string[]
  key: string
}

/** An item as clients see it. Dates are ISO 8601. */
export interface StoreItem extends ItemKey {
  value: Json
  created_at: string
  updated_at: string
  /** How well it fits the words that were asked for, between 0 and 1. Only where there were some. */
  score?: number
}

export interface ItemWrite extends ItemKey {
  /** Null deletes the item. */
  value: Json
  /** The fields whose words it is found by; false: none; unset: all. */
  index?: false | string[] | undefined
  /** Minutes that it stays; null: for ever; unset: as the store is set up. */
  ttl?: number | null | undefined
}

export interface ItemSearch {
  prefix: string[]
  conditions: Condition[]
  /** Items with any of its words, the best first. Empty: all, the newest first. */
  query: string
  limit: number
  offset: number
}

/** What a field at the top of an item's value must be. */
export interface Condition {
  field: string
  op: Operator
  value: Json
}

const OPERATORS = ['$eq', '$ne', '$gt', '$gte', '$lt', '$lte', '$in', '$nin'] as const
type Operator = (typeof OPERATORS)[number]

export interface NamespaceSearch {
  /** All of them must hold; `*` stands for any one label. */
  conditions: { matchType: 'prefix' | 'suffix'; path: string[] }[]
  /** Longer namespaces are cut to so many labels, and told once. */
  maxDepth: number | undefined
  limit: number
  offset: number
}

/** How long items stay that do not say so themselves. */
export interface StoreTtl {
  /** Minutes; null: for ever. */
  default: number | null
  /** Whether reading an item begins its time anew. */
  refreshOnRead: boolean
}

/** PostgreSQL's index takes at most 2,704 bytes. */
const MAX_ADDRESS_BYTES = 2_000

/** Why no item can be there, in words for whoever tries to write it; `undefined` where one can. */
export function whyNoItem({ namespace, key }: ItemKey): string | undefined {
  if (namespace.length === 0) return 'The namespace is empty: name at least one label.'
  for (const label of namespace) {
    if (typeof label !== 'string' || label === '') return 'Labels of a namespace are texts, and not empty.'
    if (label.includes('.')) return `The label "${label}" has a dot in it, which separates labels.`
    if (label.includes('\0')) return 'Labels must not contain NUL.'
  }
  if (namespace[0] === 'langgraph') return 'The first label "langgraph" is reserved. Use another one.'
  if (typeof key !== 'string' || key.includes('\0')) return 'The key must be a text without NUL.'
  if (Buffer.byteLength(namespace.join('.')) + Buffer.byteLength(key) > MAX_ADDRESS_BYTES)
    return `Namespace and key are longer than ${MAX_ADDRESS_BYTES} bytes together.`
  return undefined
}

/**
 * A filter in LangGraph's form, as conditions: `{ color: 'red', price: { $gt: 5, $lte: 9 } }`.
 * Returns the name of the first operator that there is not.
 */
export function conditionsOf(filter: Record<string, Json>): Condition[] | string {
  const conditions: Condition[] = []
  for (const [field, wanted] of Object.entries(filter)) {
    const isObject = typeof wanted === 'object' && wanted !== null && !Array.isArray(wanted)
    const names = isObject ? Object.keys(wanted) : []
    if (!isObject || !names.some((name) => name.startsWith('$'))) {
      conditions.push({ field, op: '$eq', value: wanted })
      continue
    }
    for (const [name, value] of Object.entries(wanted)) {
      const op = OPERATORS.find((known) => known === name)
      if (op === undefined) return name
      conditions.push({ field, op, value })
    }
  }
  return conditions
}

/** The same store, in which items and reads that say nothing of time follow `ttl`. */
export function withTtl(items: StoreItems, ttl: StoreTtl): StoreItems {
  return {
    ...items,
    of: (tenant) => withTtl(items.of(tenant), ttl),
    get: (keys, refresh = ttl.refreshOnRead) => items.get(keys, refresh),
    search: (search, refresh = ttl.refreshOnRead) => items.search(search, refresh),
    write: (writes, run) =>
      items.write(
        writes.map((write) => (write.ttl === undefined ? { ...write, ttl: ttl.default } : write)),
        run,
      ),
  }
}
