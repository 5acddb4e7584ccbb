import { expect, test } from 'vitest'
import { systemAssistantId } from '../../../runtime/assistant.ts'
import { newId } from '../../../runtime/ids.ts'
import type { ThreadFilter, ThreadTtl } from '../../../runtime/thread.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import {
  claimOf,
  createRun,
  createThread,
  createWorker,
  endedWell,
  useStorage,
} from '../../support/storage.ts'

const PAGE: ThreadFilter = { limit: 10, offset: 0, sort_by: 'created_at', sort_order: 'desc' }

onBothDatabases((database) => {
  const storage = useStorage(database)

  test('of two creations of the same thread at once one wins, and the other finds it', async () => {
    const { mine, other } = storage
    const thread = { thread_id: newId(), metadata: {} }
    const raised = await Promise.allSettled([
      mine.threads.create({ ...thread, tenant: 'default', ifExists: 'raise' }),
      other.threads.create({ ...thread, tenant: 'default', ifExists: 'raise' }),
    ])
    expect(raised.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(raised.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'thread_exists' },
    })
    expect(
      await other.threads.create({ ...thread, tenant: 'default', ifExists: 'do_nothing' }),
    ).toMatchObject({
      thread_id: thread.thread_id,
    })
  })

  test('threads are found by id, metadata, values and status, in pages', async () => {
    const { mine } = storage
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.push(await createThread(mine, { n, group: n % 2 === 0 ? 'even' : 'odd' }))
    const [first = ''] = ids
    await createRun(mine, first)
    const run = await claimOf(mine, await createWorker(mine), first)
    await mine.queue.settle(run, endedWell({ values: '{"answer":{"is":42,"not":1}}' }))

    const search = async (filter: Partial<ThreadFilter>) => {
      const { items, total } = await mine.threads.search({ ...PAGE, ...filter })
      return { ids: items.map(({ thread_id }) => ids.indexOf(thread_id)), total }
    }
    expect(await search({})).toEqual({ ids: [4, 3, 2, 1, 0], total: 5 })
    expect(await search({ sort_order: 'asc', limit: 2, offset: 1 })).toEqual({ ids: [1, 2], total: 5 })
    expect(await search({ metadata: { group: 'odd' } })).toEqual({ ids: [3, 1], total: 2 })
    expect(await search({ ids: [first, newId()] })).toEqual({ ids: [0], total: 1 })
    expect(await search({ values: { answer: { is: 42 } } })).toEqual({ ids: [0], total: 1 })
    expect(await search({ status: 'busy' })).toEqual({ ids: [], total: 0 })
    await createRun(mine, ids[2] ?? '')
    expect(await search({ status: 'busy' })).toEqual({ ids: [2], total: 1 })
    for (const sort_by of ['thread_id', 'status', 'updated_at', 'state_updated_at'] as const)
      expect((await search({ sort_by })).total).toBe(5)
  })

  test('a patch merges metadata and touches nothing else', async () => {
    const { threads } = storage.mine
    const threadId = await createThread(storage.mine, { kept: 1, changed: { deep: 1 } })
    const patched = await threads.patch(threadId, { changed: { other: 2 }, added: null })
    expect(patched?.metadata).toEqual({ kept: 1, changed: { other: 2 }, added: null })
    expect(patched).toMatchObject({ status: 'idle', values: null, interrupts: {} })
    expect(await threads.patch(newId(), {})).toBeUndefined()
  })

  test('a thread is past its time so many minutes after its last change, unless a run of it has not ended', async () => {
    const { mine } = storage
    const create = async (ttl?: ThreadTtl) =>
      (
        await mine.threads.create({
          thread_id: newId(),
          metadata: {},
          ttl,
          tenant: 'default',
          ifExists: 'raise',
        })
      ).thread_id
    const goes = await create({ strategy: 'delete', ttl_minutes: 30 })
    const busy = await create({ strategy: 'delete', ttl_minutes: 30 })
    const neverRan = await create({ strategy: 'keep_latest', ttl_minutes: 30 })
    await create()
    await createRun(mine, busy)
    const expired = (minutes: number) => mine.threads.expired(new Date(Date.now() + minutes * 60_000))
    expect(await expired(29)).toEqual([])
    expect(await expired(31)).toEqual([{ threadId: goes, strategy: 'delete' }])
    expect(await mine.threads.prune(goes, 'delete')).toBe(true)
    expect(await mine.threads.prune(busy, 'delete')).toBe(false)
    expect(await expired(31)).toEqual([])
    expect(await mine.threads.get(neverRan)).toBeDefined()
  })

  test('system assistants are there once, with an id that follows from the graph', async () => {
    const { mine, other } = storage
    const react = { graph_id: 'react', description: 'Acts.' }
    const b = { graph_id: 'b', description: null }
    await Promise.all([mine.assistants.ensureSystem([react, b]), other.assistants.ensureSystem([b, react])])
    const assistant = await mine.assistants.get(systemAssistantId('react'))
    expect(assistant).toMatchObject({ graph_id: 'react', version: 1, metadata: { created_by: 'system' } })
    expect(assistant?.description).toBe('Acts.')
    const filter = { limit: 10, offset: 0, sort_by: 'graph_id', sort_order: 'asc' } as const
    expect(await mine.assistants.search({ ...filter, name: 'REA' })).toMatchObject({
      total: 1,
      items: [{ graph_id: 'react' }],
    })
    expect(await mine.assistants.search({ ...filter, graph_id: 'b' })).toMatchObject({ total: 1 })
    const all = (await mine.assistants.search(filter)).items.map(({ graph_id }) => graph_id)
    // The runs of other tests here are of `test`.
    expect(all.filter((id) => id !== 'test')).toEqual(['b', 'react'])
    // Another description is the new one, unless somebody has changed the assistant.
    await mine.assistants.ensureSystem([{ ...react, description: 'Acts well.' }, b])
    expect(await mine.assistants.get(systemAssistantId('react'))).toMatchObject({
      description: 'Acts well.',
      version: 1,
    })
    expect(await mine.assistants.versions(systemAssistantId('react'), { limit: 9, offset: 0 })).toMatchObject(
      [{ description: 'Acts well.' }],
    )
    await mine.assistants.update(systemAssistantId('react'), { description: 'Acts for us.' })
    await mine.assistants.ensureSystem([react, b])
    expect(await mine.assistants.get(systemAssistantId('react'))).toMatchObject({
      description: 'Acts for us.',
    })
  })
})
