import { InMemoryStore, type Operation } from '@langchain/langgraph-checkpoint'
import { expect, test } from 'vitest'
import { GraphStore } from '../../../runtime/graph-store.ts'
import { newId } from '../../../runtime/ids.ts'
import { LeaseLost } from '../../../runtime/lease.ts'
import type { StoreItems } from '../../../runtime/ports.ts'
import { createStoreItems } from '../../../storage/store.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import {
  claimOf,
  createRun,
  createThread,
  createWorker,
  expireWorker,
  useStorage,
} from '../../support/storage.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const minutesLater = (minutes: number) => new Date(NOW.getTime() + minutes * 60_000)
const never = (error: Error) => {
  throw error
}

onBothDatabases((database) => {
  const storage = useStorage(database)

  async function running() {
    const threadId = await createThread(storage.mine)
    await createRun(storage.mine, threadId)
    const worker = await createWorker(storage.mine)
    return { worker, threadId, run: await claimOf(storage.mine, worker, threadId) }
  }

  test("after a takeover the first worker's graph writes nothing, and its attempt ends", async () => {
    const root = newId()
    const { worker, threadId, run } = await running()
    const items = createStoreItems(storage.mine.db)
    const failures: Error[] = []
    const stale = new GraphStore(items, run, (error) => failures.push(error))
    await stale.put([root], 'k', { by: 'first' })
    await expireWorker(storage.mine, worker)
    const heir = await claimOf(storage.other, await createWorker(storage.other), threadId)
    await expect(stale.put([root], 'k', { by: 'zombie' })).rejects.toThrow(LeaseLost)
    await expect(stale.delete([root], 'k')).rejects.toThrow(LeaseLost)
    expect(failures).toEqual([new LeaseLost(run.run_id), new LeaseLost(run.run_id)])
    expect((await stale.get([root], 'k'))?.value).toEqual({ by: 'first' })
    const good = new GraphStore(createStoreItems(storage.other.db), heir, never)
    await good.put([root], 'k', { by: 'heir' })
    expect((await stale.get([root], 'k'))?.value).toEqual({ by: 'heir' })
  })

  test('a batch is three statements at most for its keys, a search and its writes', async () => {
    const { run } = await running()
    let statements = 0
    const counting = {
      ...storage.mine.db,
      query: (...asked: Parameters<typeof storage.mine.db.query>) => {
        statements += 1
        return storage.mine.db.query(...asked)
      },
    } as typeof storage.mine.db
    const store = new GraphStore(createStoreItems(counting), run, never)
    const root = newId()
    const keys = Array.from({ length: 50 }, (_, n) => `k${n}`)
    await store.batch(keys.map((key) => ({ namespace: [root], key, value: { key } })))
    expect(statements).toBe(1)
    statements = 0
    const results = await store.batch([
      ...keys.map((key) => ({ namespace: [root], key })),
      { namespacePrefix: [root], limit: 5 },
      ...keys.map((key) => ({ namespace: [root], key, value: null })),
    ] as Operation[])
    expect(statements).toBe(3)
    expect(results.slice(0, 50).map((item) => (item as { key: string }).key)).toEqual(keys)
    expect(await store.search([root])).toEqual([])
  })

  test('batches that write and delete the same keys at once wait for each other and none fails', async () => {
    const root = newId()
    const keys = Array.from({ length: 12 }, (_, n) => `k${n}`)
    const stores = [storage.mine, storage.other].map(({ db }) => createStoreItems(db))
    const writer = async (items: StoreItems, shift: number) => {
      for (let round = 0; round < 20; round++) {
        const order = keys.map((_, n) => keys[(n * 5 + shift + round) % keys.length] ?? '')
        await items.write(
          order.map((key, n) => ({ namespace: [root], key, value: n % 2 === 0 ? null : { shift }, ttl: 5 })),
        )
        await items.search({ prefix: [root], conditions: [], query: '', limit: 20, offset: 0 }, true)
      }
    }
    await Promise.all(
      Array.from({ length: 4 }, (_, shift) => stores.map((items) => writer(items, shift))).flat(),
    )
    await writer(createStoreItems(storage.mine.db), 0)
    expect(await namesOf(createStoreItems(storage.mine.db), root)).toHaveLength(6)
  })

  test('what is past its time is deleted, and nothing else', async () => {
    const root = newId()
    const { db } = storage.mine
    const at = (now: Date) => createStoreItems(db, () => now)
    const write = (key: string, ttl?: number) => at(NOW).write([{ namespace: [root], key, value: {}, ttl }])
    await write('short', 5)
    await write('long', 50)
    await write('ever')
    const rows = async () =>
      (
        await db.query<{ key: string }>('select key from store_items where namespace = $1 order by key', [
          root,
        ])
      ).rows.map(({ key }) => key)
    await at(NOW).deleteExpired(minutesLater(4))
    expect(await rows()).toEqual(['ever', 'long', 'short'])
    expect(await namesOf(at(minutesLater(6)), root)).toEqual(['ever', 'long'])
    await at(NOW).deleteExpired(minutesLater(6))
    expect(await rows()).toEqual(['ever', 'long'])
    await at(NOW).deleteExpired(minutesLater(5_000_000))
    expect(await rows()).toEqual(['ever'])
  })

  test('an item written after its time was over is a new one', async () => {
    const root = newId()
    const { db } = storage.mine
    const place = { namespace: [root], key: 'k' }
    await createStoreItems(db, () => NOW).write([{ ...place, value: {}, ttl: 5 }])
    await db.query(`update store_items set created_at = '2020-01-01' where namespace = $1`, [root])
    const later = createStoreItems(db, () => minutesLater(6))
    await later.write([{ ...place, value: {} }])
    const [item] = await later.get([place])
    expect(item?.created_at).not.toMatch(/^2020/)
  })

  test("a batch answers as LangGraph's own store does", async () => {
    const { run } = await running()
    await storage.mine.db.query('truncate store_items')
    const ours = new GraphStore(createStoreItems(storage.mine.db), run, never)
    const theirs = new InMemoryStore()
    const random = generator(7)
    const pick = <T>(list: T[]): T => list[Math.floor(random() * list.length)] as T
    const path = () => Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(['p', 'q', 'r']))
    const pattern = () => path().map((label) => (random() < 0.3 ? '*' : label))
    const value = () => pick<unknown>([1, 2.5, '2', 'x', true, false, null, -1, ''])
    // Theirs goes on listing a namespace whose last item was deleted: one or the other.
    const operation = (deletes: boolean): Operation => {
      const kind = random() * (deletes ? 0.8 : 1)
      if (kind < 0.3)
        return {
          namespace: path(),
          key: pick(['a', 'b']),
          value: deletes && random() < 0.4 ? null : { f: value(), g: value() },
        }
      if (kind < 0.5) return { namespace: path(), key: pick(['a', 'b']) }
      if (kind < 0.8) {
        const op = pick(['$eq', '$ne', '$gt', '$gte', '$lt', '$lte'])
        const filter = pick([
          {},
          { f: value() },
          { f: { [op]: value() } },
          { f: { $ne: value() }, g: value() },
        ])
        return { namespacePrefix: path(), filter, limit: 1_000, offset: 0 }
      }
      const matchConditions = pick([
        [],
        [{ matchType: 'prefix' as const, path: pattern() }],
        [{ matchType: 'suffix' as const, path: pattern() }],
        [
          { matchType: 'prefix' as const, path: pattern() },
          { matchType: 'suffix' as const, path: pattern() },
        ],
      ])
      return {
        matchConditions,
        maxDepth: pick([undefined, 1, 2]),
        limit: pick([1, 1_000]),
        offset: pick([0, 0, 1]),
      }
    }
    for (let round = 0; round < 60; round++) {
      const operations = Array.from({ length: 1 + Math.floor(random() * 8) }, () => operation(round > 40))
      const [mine, other] = [await ours.batch(operations), await theirs.batch(operations)]
      operations.forEach((one, index) =>
        expect([one, comparable(mine[index])]).toEqual([one, comparable(other[index])]),
      )
    }
  })
})

async function namesOf(items: StoreItems, root: string): Promise<string[]> {
  const found = await items.search({ prefix: [root], conditions: [], query: '', limit: 10, offset: 0 })
  return found.map(({ key }) => key).toSorted()
}

/** Without times and order: theirs is the order of insertion. */
function comparable(result: unknown): unknown {
  const bare = (item: unknown) => {
    if (item == null) return null
    const { namespace, key, value } = item as Record<string, unknown>
    return { namespace, key, value }
  }
  if (!Array.isArray(result)) return bare(result)
  if (result.every(Array.isArray)) return result
  return result.map(bare).toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

/** Numbers from 0 to 1, the same in every run. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}
