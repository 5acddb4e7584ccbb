import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'
import { RuntimeError } from '../../runtime/errors.ts'
import type { Json } from '../../runtime/json.ts'
import type { StoreItems } from '../../runtime/ports.ts'
import { conditionsOf, type ItemKey, type NamespaceSearch as Search, whyNoItem } from '../../runtime/store.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json } from '../reply.ts'
import { ItemDelete, ItemGet, ItemPut, ItemSearch, NamespaceSearch, StoreItem } from '../schemas/store.ts'

export interface StorePorts {
  store: StoreItems
}

// The handler asks the project's authentication: it has to be shown one namespace, however the request names it.
const STORE = { tag: 'Store', access: 'own' } as const
const REFUSED = { 400: { description: 'The namespace is empty' } }

export function storeRoutes({ store }: StorePorts): Endpoint[] {
  return [
    endpoint({
      ...STORE,
      method: 'put',
      path: '/store/items',
      summary: 'Write an item; what was there is replaced',
      body: ItemPut,
      answers: { 204: { description: 'Written' }, ...REFUSED },
      async handle(c, { body }, { caller }) {
        const asked = { ...body, ...checked(body) }
        await caller.may('store:put', asked)
        const { value, index, ttl } = asked
        await store
          .of(caller.person.tenant)
          .write([{ ...checked(asked), value, index: index ?? undefined, ttl }])
        return c.body(null, 204)
      },
    }),
    endpoint({
      ...STORE,
      method: 'get',
      path: '/store/items',
      summary: 'Get an item',
      query: ItemGet,
      queryLists: ['namespace'],
      answers: {
        200: { description: 'The item; null: there is none', schema: StoreItem.nullable() },
        ...REFUSED,
      },
      async handle(c, { query }, { caller }) {
        const asked = { ...checked(query) }
        await caller.may('store:get', asked)
        const [item] = await store.of(caller.person.tenant).get([checked(asked)], query.refresh_ttl)
        return json(c, item)
      },
    }),
    endpoint({
      ...STORE,
      method: 'delete',
      path: '/store/items',
      summary: 'Delete an item, if it is there',
      body: ItemDelete,
      answers: { 204: { description: 'It is not there any more' }, ...REFUSED },
      async handle(c, { body }, { caller }) {
        const asked = { ...checked(body) }
        await caller.may('store:delete', asked)
        await store.of(caller.person.tenant).write([{ ...checked(asked), value: null }])
        return c.body(null, 204)
      },
    }),
    endpoint({
      ...STORE,
      method: 'post',
      path: '/store/items/search',
      summary: 'Search items below a namespace, by their fields and by words',
      body: ItemSearch,
      answers: { 200: { description: 'A page of items', schema: z.object({ items: z.array(StoreItem) }) } },
      async handle(c, { body }, { caller }) {
        const { namespace_prefix, refresh_ttl, ...rest } = body
        const asked = { ...rest, namespace: checkedPrefix(namespace_prefix ?? []) }
        await caller.may('store:search', asked)
        const { filter, query, limit, offset } = asked
        const prefix = checkedPrefix(asked.namespace)
        const search = { prefix, conditions: conditions(filter ?? {}), query: query ?? '', limit, offset }
        return json(c, {
          items: await store.of(caller.person.tenant).search(search, refresh_ttl ?? undefined),
        })
      },
    }),
    endpoint({
      ...STORE,
      method: 'post',
      path: '/store/namespaces',
      summary: 'List namespaces that have items',
      body: NamespaceSearch,
      bodyOptional: true,
      answers: {
        200: {
          description: 'A page of namespaces',
          schema: z.object({ namespaces: z.array(z.array(z.string())) }),
        },
      },
      async handle(c, { body }, { caller }) {
        const { prefix, ...rest } = body
        const asked = { ...rest, namespace: prefix ?? [] }
        await caller.may('store:list_namespaces', asked)
        const { namespace, suffix, max_depth, limit, offset } = asked
        const conditions: Search['conditions'] = [{ matchType: 'prefix', path: namespace }]
        if (suffix != null) conditions.push({ matchType: 'suffix', path: suffix })
        const search = { conditions, maxDepth: max_depth ?? undefined, limit, offset }
        return json(c, { namespaces: await store.of(caller.person.tenant).namespaces(search) })
      },
    }),
  ]
}

function checkedPrefix(namespace: string[]): string[] {
  return namespace.length === 0 ? [] : checked({ namespace, key: '' }).namespace
}

function checked(place: ItemKey): ItemKey {
  const { namespace, key } = place
  if (namespace.join('') === '')
    throw new HTTPException(400, { message: 'The namespace is empty: name at least one label.' })
  const reason = whyNoItem({ namespace, key })
  if (reason !== undefined) throw new RuntimeError('invalid_input', reason)
  return { namespace, key }
}

function conditions(filter: Record<string, Json>) {
  const found = conditionsOf(filter)
  if (typeof found === 'string')
    throw new RuntimeError('invalid_input', `body.filter: there is no operator ${found}.`)
  return found
}
