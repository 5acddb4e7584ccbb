import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { startTestServer } from '../../support/server.ts'
import { httpOn, useStage } from '../../support/stage.ts'

onEachDatabase((database) => {
  const stage = useStage(database)
  let root = ''
  const keysOf = async (options: object = {}, prefix = [root]) =>
    (await stage.client.store.searchItems(prefix, options)).items.map(({ key }) => key)
  const put = (labels: string[], key: string, value: Record<string, unknown>, options = {}) =>
    stage.client.store.putItem([root, ...labels], key, value, options)
  const status = async (method: string, path: string, body?: unknown) =>
    (await stage.http(method, path, body)).status

  beforeEach(() => {
    root = newId()
  })

  test('an item is written, read, replaced and deleted; one that is not there is null', async () => {
    const { store } = stage.client
    expect(await store.getItem([root], 'k')).toBeNull()
    await store.putItem([root, 'a'], 'k', { n: 1, deep: { list: [1, 'zwei', null] } })
    const first = await store.getItem([root, 'a'], 'k')
    expect(first).toMatchObject({
      namespace: [root, 'a'],
      key: 'k',
      value: { n: 1, deep: { list: [1, 'zwei', null] } },
    })
    expect(first?.createdAt).toBe(first?.updatedAt)
    await store.putItem([root, 'a'], 'k', { n: 2 })
    const second = await store.getItem([root, 'a'], 'k')
    expect(second?.value).toEqual({ n: 2 })
    expect(second?.createdAt).toBe(first?.createdAt)
    expect(Date.parse(second?.updatedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(first?.updatedAt ?? ''))
    await store.deleteItem([root, 'a'], 'k')
    expect(await store.getItem([root, 'a'], 'k')).toBeNull()
    await store.deleteItem([root, 'a'], 'k')
  })

  test('the namespace of a GET may come as one text or label by label; the answer has the protocol’s names', async () => {
    await put(['b'], 'k', { n: 1 })
    const path = `/store/items?key=k&namespace=${root}`
    const joined = await stage.http('GET', `${path}.b`)
    expect((await stage.http('GET', `${path}&namespace=b`)).text).toBe(joined.text)
    expect(Object.keys(joined.json()).toSorted()).toEqual([
      'created_at',
      'key',
      'namespace',
      'updated_at',
      'value',
    ])
    expect((await stage.http('GET', `${path}.c`)).text).toBe('null')
  })

  test('a search is below whole labels, newest first, page by page', async () => {
    for (const [labels, key] of [
      [['a'], '1'],
      [['a', 'b'], '2'],
      [['ab'], '3'],
    ] as const)
      await put([...labels], key, {})
    expect(await keysOf()).toEqual(['3', '2', '1'])
    expect(await keysOf({}, [root, 'a'])).toEqual(['2', '1'])
    expect(await keysOf({}, [root, 'nobody'])).toEqual([])
    expect(await keysOf({ limit: 1, offset: 1 })).toEqual(['2'])
    expect((await stage.client.store.searchItems([], { limit: 1 })).items).toHaveLength(1)
  })

  test('a filter compares fields as LangGraph’s own store does', async () => {
    await put([], 'a', { price: 5, color: 'red', tags: ['x'], on: true })
    await put([], 'b', { price: 9.5, color: 'blue', on: null })
    await put([], 'c', { price: '12', color: 'red' })
    await put([], 'd', { color: 'no number', price: 'many' })
    const found = async (filter: object) => (await keysOf({ filter })).toSorted().join('')
    expect(await found({ color: 'red' })).toBe('ac')
    expect(await found({ color: { $eq: 'blue' } })).toBe('b')
    expect(await found({ color: { $ne: 'red' } })).toBe('bd')
    expect(await found({ on: { $ne: true } })).toBe('bcd')
    expect(await found({ on: null })).toBe('b')
    expect(await found({ price: { $gt: 5 } })).toBe('bc')
    expect(await found({ price: { $gte: 5, $lt: 12 } })).toBe('ab')
    expect(await found({ price: { $lte: '9.5' }, color: 'red' })).toBe('a')
    expect(await found({ price: { $in: [5, 'many'] } })).toBe('ad')
    expect(await found({ color: { $nin: ['red', 'blue'] } })).toBe('d')
    expect(await found({ tags: ['x'] })).toBe('a')
    expect(await found({ price: { $gt: 'many' } })).toBe('')
    expect(await found({})).toBe('abcd')
  })

  test('words find items, those with more of them first, in the fields that are indexed', async () => {
    await put([], 'fruit', { text: 'Ada likes ripe apricots', more: [{ note: 'and plums' }] })
    await put([], 'tea', { text: 'Ada drinks tea' })
    await put([], 'bike', { text: 'A red bicycle', year: 1987 })
    await put([], 'secret', { text: 'Ada likes secrets' }, { index: false })
    await put(
      [],
      'book',
      { title: 'Plums', chapters: [{ text: 'Nothing of apricots' }] },
      { index: ['title', 'chapters[*].text'] },
    )
    await put([], 'half', { title: 'Pears', body: 'apricots' }, { index: ['title'] })
    expect(await keysOf({ query: 'what does ADA like: apricots?' })).toEqual(
      ['fruit', 'book', 'tea'].toSorted((a, b) => order(a) - order(b)),
    )
    expect(await keysOf({ query: 'plums' })).toHaveLength(2)
    expect(await keysOf({ query: '1987' })).toEqual(['bike'])
    expect(await keysOf({ query: 'ada', filter: { text: { $ne: 'Ada drinks tea' } } })).toEqual(['fruit'])
    expect(await keysOf({ query: `'); drop & | ! <-> table:* "` })).toEqual([])
    expect(await keysOf({ query: '!!!' })).toEqual([])
    const { items } = await stage.client.store.searchItems([root], { query: 'ripe apricots', limit: 1 })
    expect(items[0]?.key).toBe('fruit')
    expect((items[0] as { score?: number }).score).toBeGreaterThan(0)
    const plain = await stage.client.store.searchItems([root])
    expect(plain.items.every((item) => !('score' in item))).toBe(true)
  })

  test('namespaces are listed by prefix and suffix with wildcards, cut at a depth, page by page', async () => {
    for (const labels of [['a', 'x', 'v1'], ['a', 'y', 'v1'], ['b', 'x', 'v2'], ['b']])
      await put(labels, 'k', {})
    await put(['b'], 'other', {})
    const listed = async (options: {
      prefix?: string[]
      suffix?: string[]
      maxDepth?: number
      limit?: number
      offset?: number
    }) => {
      const answer = await stage.client.store.listNamespaces({
        ...options,
        prefix: [root, ...(options.prefix ?? [])],
      })
      return answer.namespaces.map((labels) => labels.slice(1).join('/'))
    }
    expect(await listed({})).toEqual(['a/x/v1', 'a/y/v1', 'b', 'b/x/v2'])
    expect(await listed({ prefix: ['a'] })).toEqual(['a/x/v1', 'a/y/v1'])
    expect(await listed({ prefix: ['*', 'x'] })).toEqual(['a/x/v1', 'b/x/v2'])
    expect(await listed({ suffix: ['v1'] })).toEqual(['a/x/v1', 'a/y/v1'])
    expect(await listed({ suffix: ['x', '*'] })).toEqual(['a/x/v1', 'b/x/v2'])
    expect(await listed({ prefix: ['*', '*', '*', '*'] })).toEqual([])
    expect(await listed({ maxDepth: 2 })).toEqual(['a', 'b'])
    expect(await listed({ maxDepth: 3, limit: 2, offset: 1 })).toEqual(['a/y', 'b'])
  })

  test('texts that a database cannot hold become ones that it can', async () => {
    await put([], 'odd', { 'nul\u0000': 'a\u0000b', half: '\ud800', path: 'c:\\u0000' })
    expect((await stage.client.store.getItem([root], 'odd'))?.value).toEqual({
      'nul\ufffd': 'a\ufffdb',
      half: '\ufffd',
      path: 'c:\\u0000',
    })
    expect(await keysOf({ filter: { half: '\ud800' } })).toEqual(['odd'])
  })

  test('a value of a million words is kept, and found by its first ones', async () => {
    const text = Array.from({ length: 350_000 }, (_, n) => `w${n}`).join(' ')
    await put([], 'long', { text })
    expect(await keysOf({ query: 'w17' })).toEqual(['long'])
    expect(await keysOf({ query: 'w349999' })).toEqual([])
    await put([], 'wide', {
      text: Array.from(
        { length: 66_000 },
        (_, n) => `${String.fromCodePoint(0x4e00 + (n % 20_000))}${n}`,
      ).join(' '),
    })
    expect(await keysOf()).toContain('wide')
  })

  test('many writers of the same keys leave one of their values', async () => {
    const keys = Array.from({ length: 5 }, (_, n) => `k${n}`)
    await Promise.all(
      Array.from({ length: 8 }, (_, writer) => Promise.all(keys.map((key) => put([], key, { writer })))),
    )
    expect((await keysOf({ limit: 100 })).toSorted()).toEqual(keys)
  })

  describe('bad input', () => {
    const item = { namespace: ['a'], key: 'k', value: {} }
    test.each([
      ['PUT', { ...item, namespace: ['a.b'] }],
      ['PUT', { ...item, namespace: ['a', ''] }],
      ['PUT', { ...item, namespace: ['langgraph', 'a'] }],
      ['PUT', { ...item, namespace: ['a\u0000'] }],
      ['PUT', { ...item, namespace: 'a' }],
      ['PUT', { ...item, namespace: Array.from({ length: 150 }, () => 'ä'.repeat(10)) }],
      ['PUT', { ...item, key: 'a\u0000' }],
      ['PUT', { ...item, key: '€'.repeat(900) }],
      ['PUT', { ...item, key: 7 }],
      ['PUT', { ...item, value: null }],
      ['PUT', { ...item, value: 'text' }],
      ['PUT', { ...item, ttl: 0 }],
      ['PUT', { ...item, ttl: 1e300 }],
      ['PUT', { ...item, index: true }],
      ['PUT', { key: 'k', value: {} }],
      ['DELETE', { namespace: ['a.b'], key: 'k' }],
    ])('%s /store/items %j is 422', async (method, body) => {
      expect(await status(method, '/store/items', body)).toBe(422)
    })
    test.each([
      ['items/search', { namespace_prefix: ['a.b'] }],
      ['items/search', { namespace_prefix: ['langgraph'] }],
      ['items/search', { limit: 0 }],
      ['items/search', { offset: 1e12 }],
      ['items/search', { query: 'a\u0000' }],
      ['items/search', { filter: { a: { $regex: 'x' } } }],
      ['items/search', { filter: [] }],
      ['namespaces', { prefix: ['a.b'] }],
      ['namespaces', { max_depth: 0 }],
      ['namespaces', { suffix: [''] }],
    ])('POST /store/%s %j is 422', async (path, body) => {
      expect(await status('POST', `/store/${path}`, body)).toBe(422)
    })
    test.each([
      '',
      '?key=k',
      '?namespace=a',
      '?namespace=a..b&key=k',
      '?namespace=a&key=%00',
      '?namespace=a&key=k&refresh_ttl=x',
      '?namespace=langgraph&key=k',
    ])('GET /store/items%s is 422', async (query) => {
      expect(await status('GET', `/store/items${query}`)).toBe(422)
    })
    test('an empty namespace is 400', async () => {
      expect(await status('PUT', '/store/items', { ...item, namespace: [] })).toBe(400)
      expect(await status('DELETE', '/store/items', { namespace: [], key: 'k' })).toBe(400)
      expect(await status('GET', '/store/items?namespace=&key=k')).toBe(400)
    })
    test('filters of strange numbers find nothing and break nothing', async () => {
      await put([], 'k', { n: '1e999', m: ' 12 ', o: '１２', p: {} })
      for (const value of [1e308, '1e999', -1, {}, [], 'NaN', null])
        for (const field of ['n', 'm', 'o', 'p', 'a\u0000'])
          expect(await status('POST', '/store/items/search', { filter: { [field]: { $gt: value } } })).toBe(
            200,
          )
    })
  })
})

function order(key: string): number {
  return ['fruit', 'book', 'tea'].indexOf(key)
}

const PROJECT = new URL('../../support/store/langgraph.json', import.meta.url).pathname
const MINUTE_MS = 60_000

onEachDatabase((database) => {
  let now = Date.now()
  const ended: (() => Promise<void>)[] = []
  const start = async (env: Record<string, string> = { HOLDPOINT_CONFIG: PROJECT }) => {
    const server = await startTestServer({ ...database.place, env, now: () => new Date(now) })
    ended.push(server.close)
    return server
  }
  afterEach(async () => {
    for (const end of ended.splice(0)) await end()
  })

  test('what a graph keeps in one run is found by other runs, by clients and by other servers', async () => {
    const root = newId()
    const input = { namespace: [root, 'likes'], key: 'fruit', value: { name: 'apricot', kept: true } }
    const first = await start()
    const before = await first.client.runs.wait(null, 'keeper', { input })
    expect(before).toMatchObject({
      found: null,
      below: { keys: ['fruit'], namespaces: [[root, 'likes']] },
    })
    expect((await first.client.store.getItem([root, 'likes'], 'fruit'))?.value).toEqual(input.value)
    await first.client.store.putItem([root, 'likes'], 'tea', { kept: false })
    for (const end of ended.splice(0)) await end()

    const second = await start()
    const after = await second.client.runs.wait(null, 'keeper', { input: { ...input, value: null } })
    expect(after).toMatchObject({ found: input.value, below: { keys: ['fruit'] } })
    const frames = await httpOn(second.url)('POST', `/threads/${newId()}/commands`, {
      id: 1,
      method: 'run.start',
      params: { assistant_id: 'keeper', input: { ...input, value: null } },
    })
    const { run_id: runId } = frames.json<{ result: { run_id: string }; meta: { thread_id: string } }>()
      .result
    const threadId = frames.json<{ meta: { thread_id: string } }>().meta.thread_id
    await second.client.runs.join(threadId, runId)
    expect((await second.client.threads.get(threadId)).values).toMatchObject({ found: input.value })
  })

  test('a namespace that a graph cannot write to fails the run and says why', async () => {
    const { client } = await start()
    const input = { namespace: ['a.b'], key: 'k', value: {} }
    await expect(client.runs.wait(null, 'keeper', { input })).rejects.toThrow('has a dot in it')
  })

  test('an item whose time is over is gone; reading begins it anew, unless it is not to', async () => {
    const root = newId()
    const { client } = await start()
    const { store } = client
    const later = (minutes: number) => (now += minutes * MINUTE_MS)
    await store.putItem([root], 'default', { n: 1 })
    await store.putItem([root], 'ten', { n: 1 }, { ttl: 10 })
    await store.putItem([root], 'ever', { n: 1 }, { ttl: null })
    const keys = async (refreshTtl: boolean) =>
      (await store.searchItems([root], { refreshTtl })).items.map(({ key }) => key).toSorted()

    later(9)
    expect(await keys(false)).toEqual(['default', 'ever', 'ten'])
    expect(await store.getItem([root], 'ten', { refreshTtl: true })).not.toBeNull()
    later(9)
    expect(await keys(true)).toEqual(['default', 'ever', 'ten'])
    later(9)
    expect(await store.getItem([root], 'ten', { refreshTtl: false })).not.toBeNull()
    later(2)
    expect(await store.getItem([root], 'ten')).toBeNull()
    expect(await keys(false)).toEqual(['default', 'ever'])
    later(48)
    expect(await store.getItem([root], 'default')).not.toBeNull()
    later(59)
    expect(await store.getItem([root], 'default', { refreshTtl: false })).not.toBeNull()
    later(2)
    expect(await keys(true)).toEqual(['ever'])
    await store.putItem([root], 'ten', { n: 2 }, { ttl: 10 })
    expect((await store.getItem([root], 'ten'))?.value).toEqual({ n: 2 })
    expect((await store.listNamespaces({ prefix: [root] })).namespaces).toEqual([[root]])
  })
})
