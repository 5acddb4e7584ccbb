import { Client } from '@langchain/langgraph-sdk'
import { describe, expect, test } from 'vitest'
import { systemAssistantId } from '../../../runtime/assistant.ts'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { type Stage, untilRun, untilThread, useStage } from '../../support/stage.ts'

/**
 * Every call of the official SDK's client, made for real. The list comes from the client itself: a version with one
 * more fails here until somebody has said what it must do.
 */

const PROJECT = new URL('../../support/states/langgraph.json', import.meta.url).pathname
const NOBODY = '01a1fb51-0000-7000-8000-000000000000'
const DONE = { trail: ['first', 'answer: yes', 'last'] }

/** Makes the call and looks at what came of it. */
type Check = (stage: Stage) => Promise<void>

const ASSISTANTS: Record<string, Check> = {
  async get({ client }) {
    const byGraph = await client.assistants.get('steps')
    expect(byGraph).toMatchObject({ assistant_id: systemAssistantId('steps'), graph_id: 'steps', version: 1 })
    expect(await client.assistants.get(byGraph.assistant_id)).toEqual(byGraph)
    await expect(client.assistants.get(NOBODY)).rejects.toThrow('HTTP 404: Assistant not found')
  },
  async getGraph({ client }) {
    const { nodes, edges } = await client.assistants.getGraph('steps')
    expect(nodes.map(({ id }) => id)).toEqual(expect.arrayContaining(['__start__', 'first', 'asks', 'last']))
    expect(edges).toContainEqual(expect.objectContaining({ source: 'first', target: 'asks' }))
    const deep = await client.assistants.getGraph('nested', { xray: true })
    expect(deep.nodes.map(({ id }) => id)).toContain('works:asks')
  },
  async getSchemas({ client }) {
    const schemas = await client.assistants.getSchemas('steps')
    expect(schemas).toMatchObject({ graph_id: 'steps', state_schema: { properties: { trail: {} } } })
  },
  async getSubgraphs({ client }) {
    const subgraphs = await client.assistants.getSubgraphs('nested')
    expect(Object.keys(subgraphs)).toEqual(['works'])
    expect(await client.assistants.getSubgraphs('nested', { namespace: 'works' })).toEqual(subgraphs)
    expect(await client.assistants.getSubgraphs('steps', { recurse: true })).toEqual({})
  },
  async create(stage) {
    const assistantId = newId()
    const wanted = { name: 'Ours', description: 'Asks.', metadata: { topic: 'orders' }, context: { a: 1 } }
    const made = await stage.client.assistants.create({ graphId: 'steps', assistantId, ...wanted })
    expect(made).toMatchObject({ ...wanted, assistant_id: assistantId, graph_id: 'steps', version: 1 })
    expect(await stage.client.assistants.get(assistantId)).toEqual(made)
    const again = { graphId: 'steps', assistantId, ifExists: 'do_nothing' } as const
    expect(await stage.client.assistants.create(again)).toEqual(made)
  },
  async update(stage) {
    const { assistant_id: id } = await assistant(stage, { metadata: { a: 1 } })
    const changed = await stage.client.assistants.update(id, { name: 'New', metadata: { b: 2 } })
    expect(changed).toMatchObject({ name: 'New', metadata: { a: 1, b: 2 }, version: 2 })
    expect(await stage.client.assistants.get(id)).toEqual(changed)
  },
  async delete(stage) {
    const { assistant_id: id } = await assistant(stage)
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, id, { input: { trail: [] } })
    await stage.client.assistants.delete(id, { deleteThreads: true })
    await expect(stage.client.assistants.get(id)).rejects.toThrow(/404/)
    await expect(stage.client.threads.get(threadId)).rejects.toThrow(/404/)
  },
  async search(stage) {
    const name = newId()
    const made = [
      await assistant(stage, { name: `${name} a` }),
      await assistant(stage, { name: `${name} b` }),
    ]
    const page = await stage.client.assistants.search({
      name,
      limit: 1,
      sortBy: 'name',
      sortOrder: 'asc',
      includePagination: true,
    })
    expect(page).toEqual({ assistants: [made[0]], next: '1' })
    const rest = { name, limit: 1, offset: 1, sortBy: 'name', sortOrder: 'asc', select: ['name'] } as const
    expect(await stage.client.assistants.search({ ...rest, select: ['name'] })).toEqual([
      { name: `${name} b` },
    ])
  },
  async count(stage) {
    const name = newId()
    expect(await stage.client.assistants.count({ name })).toBe(0)
    await assistant(stage, { name })
    expect(await stage.client.assistants.count({ name, graphId: 'steps' })).toBe(1)
    expect(await stage.client.assistants.count({ name, graphId: 'nested' })).toBe(0)
  },
  async getVersions(stage) {
    const { assistant_id: id } = await assistant(stage, { name: 'One' })
    await stage.client.assistants.update(id, { name: 'Two' })
    const versions = await stage.client.assistants.getVersions(id)
    expect(versions.map(({ version, name }) => [version, name])).toEqual([
      [2, 'Two'],
      [1, 'One'],
    ])
    expect(await stage.client.assistants.getVersions(id, { limit: 1, offset: 1 })).toEqual([versions[1]])
  },
  async setLatest(stage) {
    const { assistant_id: id } = await assistant(stage, { name: 'One' })
    await stage.client.assistants.update(id, { name: 'Two' })
    expect(await stage.client.assistants.setLatest(id, 1)).toMatchObject({ name: 'One', version: 1 })
    expect(await stage.client.assistants.get(id)).toMatchObject({ name: 'One', version: 1 })
  },
}

const THREADS: Record<string, Check> = {
  async get(stage) {
    const threadId = await asked(stage)
    const thread = await stage.client.threads.get(threadId, { include: ['ttl'] })
    expect(thread).toMatchObject({
      thread_id: threadId,
      status: 'interrupted',
      values: { trail: ['first'] },
      metadata: { graph_id: 'steps', assistant_id: systemAssistantId('steps') },
      ttl: { strategy: 'keep_latest', ttl_minutes: 1440 },
    })
    expect(Object.values(thread.interrupts).flat()).toMatchObject([{ value: 'Well?' }])
    await expect(stage.client.threads.get(NOBODY)).rejects.toThrow(/HTTP 404/)
  },
  async create({ client }) {
    const threadId = newId()
    const made = await client.threads.create({
      threadId,
      graphId: 'steps',
      metadata: { topic: 'orders' },
      supersteps: [{ updates: [{ values: { trail: ['before'] }, asNode: 'first' }] }],
    })
    expect(made).toMatchObject({ thread_id: threadId, metadata: { topic: 'orders', graph_id: 'steps' } })
    expect((await client.threads.getState(threadId)).values).toEqual({ trail: ['before'] })
    await expect(client.threads.create({ threadId })).rejects.toThrow(/409/)
    expect(await client.threads.create({ threadId, ifExists: 'do_nothing' })).toMatchObject({
      thread_id: threadId,
    })
  },
  async copy(stage) {
    const threadId = await asked(stage)
    const copy = await stage.client.threads.copy(threadId)
    expect(copy.thread_id).not.toBe(threadId)
    const [original, copied] = await Promise.all(
      [threadId, copy.thread_id].map((id) => stage.client.threads.getHistory(id)),
    )
    expect(copied?.map(({ values }) => values)).toEqual(original?.map(({ values }) => values))
    await stage.client.runs.wait(copy.thread_id, 'steps', { command: { resume: 'yes' } })
    expect((await stage.client.threads.get(copy.thread_id)).values).toEqual(DONE)
    expect((await stage.client.threads.get(threadId)).values).toEqual({ trail: ['first'] })
  },
  async update({ client }) {
    const { thread_id: threadId } = await client.threads.create({ metadata: { a: 1 } })
    const changed = await client.threads.update(threadId, { metadata: { b: 2 }, ttl: 60 })
    expect(changed.metadata).toMatchObject({ a: 1, b: 2 })
    expect(await client.threads.get(threadId, { include: ['ttl'] })).toMatchObject({
      ttl: { ttl_minutes: 60 },
    })
    await client.threads.update(threadId, { metadata: { c: 3 }, returnMinimal: true })
    expect((await client.threads.get(threadId)).metadata).toMatchObject({ a: 1, b: 2, c: 3 })
  },
  async delete(stage) {
    const threadId = await asked(stage)
    await stage.client.threads.delete(threadId)
    await expect(stage.client.threads.get(threadId)).rejects.toThrow(/404/)
    await expect(stage.client.threads.delete(threadId)).rejects.toThrow(/404/)
  },
  async prune(stage) {
    const threadId = await asked(stage)
    expect((await stage.client.threads.getHistory(threadId)).length).toBeGreaterThan(1)
    expect(await stage.client.threads.prune([threadId, NOBODY], { strategy: 'keep_latest' })).toEqual({
      pruned_count: 1,
    })
    expect(await stage.client.threads.getHistory(threadId)).toHaveLength(1)
    expect(await stage.client.threads.prune([threadId])).toEqual({ pruned_count: 1 })
    await expect(stage.client.threads.get(threadId)).rejects.toThrow(/404/)
  },
  async search(stage) {
    const mark = newId()
    const threadId = await asked(stage, { mark })
    await stage.client.threads.create({ metadata: { mark } })
    const search = (more: object) => stage.client.threads.search({ metadata: { mark }, ...more })
    expect(await search({})).toHaveLength(2)
    const [found, ...others] = await search({ status: 'interrupted', values: { trail: ['first'] } })
    expect([found?.thread_id, others]).toEqual([threadId, []])
    expect(
      await search({ ids: [threadId], select: ['thread_id'], extract: { last: 'values.trail[-1]' } }),
    ).toEqual([{ thread_id: threadId, extracted: { last: 'first' } }])
    const ids = async (more: object) => (await search(more)).map(({ thread_id }) => thread_id)
    const all = await ids({ sortBy: 'created_at', sortOrder: 'asc' })
    expect(await ids({ sortBy: 'created_at', sortOrder: 'asc', limit: 1, offset: 1 })).toEqual(all.slice(1))
  },
  async count(stage) {
    const mark = newId()
    await asked(stage, { mark })
    await stage.client.threads.create({ metadata: { mark } })
    expect(await stage.client.threads.count({ metadata: { mark } })).toBe(2)
    expect(await stage.client.threads.count({ metadata: { mark }, status: 'interrupted' })).toBe(1)
    expect(await stage.client.threads.count({ metadata: { mark }, values: { trail: ['other'] } })).toBe(0)
  },
  async getState(stage) {
    const threadId = await asked(stage)
    const state = await stage.client.threads.getState(threadId)
    expect(state).toMatchObject({ values: { trail: ['first'] }, next: ['asks'] })
    expect(state.tasks.flatMap(({ interrupts }) => interrupts)).toMatchObject([{ value: 'Well?' }])
    const { parent_checkpoint: parent } = state
    if (parent?.checkpoint_id == null) throw new Error('The state has no parent.')
    const before = await stage.client.threads.getState(threadId, parent.checkpoint_id)
    expect(before).toMatchObject({ values: { trail: [] }, next: ['first'], checkpoint: parent })
    expect(await stage.client.threads.getState(threadId, parent, { subgraphs: true })).toEqual(before)
  },
  async updateState(stage) {
    const threadId = await asked(stage)
    const { configurable } = await stage.client.threads.updateState(threadId, {
      values: { trail: ['by hand'] },
      asNode: 'asks',
    })
    const state = await stage.client.threads.getState(threadId)
    expect(state).toMatchObject({ values: { trail: ['first', 'by hand'] }, next: ['last'] })
    expect(state.checkpoint.checkpoint_id).toBe(configurable?.checkpoint_id)
  },
  async patchState(stage) {
    const threadId = await asked(stage)
    await stage.client.threads.patchState(threadId, { reviewed: true })
    expect((await stage.client.threads.getState(threadId)).metadata).toMatchObject({ reviewed: true })
    await stage.client.threads.patchState({ configurable: { thread_id: threadId } }, { reviewed: 2 })
    expect((await stage.client.threads.getState(threadId)).metadata).toMatchObject({ reviewed: 2 })
  },
  async getHistory(stage) {
    const threadId = await asked(stage)
    const history = await stage.client.threads.getHistory(threadId)
    expect(history.map(({ next }) => next)).toEqual([['asks'], ['first'], ['__start__']])
    const [newest, ...older] = history
    const before = { configurable: { checkpoint_id: newest?.checkpoint.checkpoint_id } }
    expect(await stage.client.threads.getHistory(threadId, { before, limit: 1 })).toEqual(older.slice(0, 1))
    expect(await stage.client.threads.getHistory(threadId, { metadata: { source: 'input' } })).toEqual(
      older.slice(-1),
    )
  },
  async joinStream(stage) {
    const threadId = await stage.thread()
    const events: string[] = []
    const gone = new AbortController()
    const joined = stage.client.threads.joinStream(threadId, {
      lastEventId: '-',
      streamMode: ['run_modes', 'lifecycle'],
      signal: gone.signal,
    })
    const run = await stage.client.runs.create(threadId, 'steps', {
      input: { trail: [] },
      streamMode: 'updates',
    })
    for await (const { event, data } of joined) {
      events.push(event)
      if ((data as { status?: string }).status !== 'run_done') continue
      expect(data).toMatchObject({ run_id: run.run_id })
      break
    }
    gone.abort()
    expect(events).toEqual(['metadata', 'updates', 'updates', 'metadata'])
  },
  async stream(stage) {
    const threadId = newId()
    const thread = stage.client.threads.stream(threadId, { assistantId: 'steps' })
    const { run_id: runId } = await thread.run.start({ input: { trail: [] } })
    await untilThread(stage.client, threadId, 'interrupted')
    expect((await stage.client.runs.list(threadId)).map(({ run_id }) => run_id)).toEqual([runId])
    const interrupts = Object.values((await stage.client.threads.get(threadId)).interrupts).flat()
    await thread.input.respond({ namespace: [], interrupt_id: interrupts[0]?.id ?? '', response: 'yes' })
    await untilThread(stage.client, threadId, 'idle')
    expect((await stage.client.threads.get(threadId)).values).toEqual(DONE)
    await thread.close()
  },
}

const RUNS: Record<string, Check> = {
  async stream(stage) {
    const threadId = await stage.thread()
    const parts = await Array.fromAsync(
      stage.client.runs.stream(threadId, 'steps', {
        input: { trail: [] },
        streamMode: ['updates', 'values'],
      }),
    )
    const graphs = ['values', 'updates', 'values', 'updates', 'values']
    expect(parts.map(({ event }) => event)).toEqual(['metadata', ...graphs])
    expect(parts.find(({ event }) => event === 'updates')?.data).toEqual({ first: { trail: ['first'] } })
    const [first] = await Array.fromAsync(
      stage.client.runs.stream(threadId, 'steps', { command: { resume: 'yes' }, streamMode: 'values' }),
    )
    expect(first?.event).toBe('metadata')
    expect((await stage.client.threads.get(threadId)).values).toEqual(DONE)
  },
  async create(stage) {
    const threadId = newId()
    const created: unknown[] = []
    const run = await stage.client.runs.create(threadId, 'steps', {
      input: { trail: [] },
      metadata: { a: 1 },
      ifNotExists: 'create',
      onRunCreated: (params) => created.push(params),
    })
    expect(run).toMatchObject({ thread_id: threadId, status: 'pending', metadata: { a: 1 } })
    expect(created).toEqual([{ run_id: run.run_id, thread_id: threadId }])
    await untilRun(stage.client, threadId, run.run_id, 'success')
    const stateless = await stage.client.runs.create(null, 'configured', { input: { trail: [] } })
    expect(await stage.client.runs.join(stateless.thread_id, stateless.run_id)).toEqual({
      trail: ['for-nobody'],
    })
  },
  async createBatch({ client }) {
    const tenant = (name: string) => ({
      assistantId: 'configured',
      input: { trail: [] },
      config: { configurable: { tenant: name } },
    })
    const runs = await client.runs.createBatch([tenant('a'), tenant('b')])
    const values = await Promise.all(runs.map((run) => client.runs.join(run.thread_id, run.run_id)))
    expect(values).toEqual([{ trail: ['for-a'] }, { trail: ['for-b'] }])
  },
  async wait(stage) {
    const threadId = await stage.thread()
    const paused = await stage.client.runs.wait(threadId, 'steps', { input: { trail: [] } })
    expect(paused).toMatchObject({ trail: ['first'], __interrupt__: [{ value: 'Well?' }] })
    expect(await stage.client.runs.wait(threadId, 'steps', { command: { resume: 'yes' } })).toEqual(DONE)
    expect(await stage.client.runs.wait(null, 'configured', { input: { trail: ['x'] } })).toEqual({
      trail: ['x', 'for-nobody'],
    })
    await expect(stage.client.runs.wait(threadId, NOBODY, {})).rejects.toThrow(
      'HTTP 404: Assistant not found',
    )
  },
  async list(stage) {
    const { threadId, runIds } = await finished(stage)
    const runs = await stage.client.runs.list(threadId, { select: ['run_id', 'status'] })
    expect(runs).toEqual(runIds.toReversed().map((run_id) => ({ run_id, status: 'success' })))
    const page = await stage.client.runs.list(threadId, { limit: 1, offset: 1, status: 'success' })
    expect(page.map(({ run_id }) => run_id)).toEqual(runIds.slice(0, 1))
    expect(await stage.client.runs.list(threadId, { status: 'error' })).toEqual([])
  },
  async get(stage) {
    const { threadId, runIds } = await finished(stage)
    const run = await stage.client.runs.get(threadId, runIds[0] ?? '')
    expect(run).toMatchObject({
      run_id: runIds[0],
      thread_id: threadId,
      status: 'success',
      multitask_strategy: 'enqueue',
    })
    await expect(stage.client.runs.get(threadId, NOBODY)).rejects.toThrow('HTTP 404: Run not found')
  },
  async cancel(stage) {
    const { threadId, run } = await waiting(stage)
    await stage.client.runs.cancel(threadId, run.run_id, true)
    expect((await stage.client.runs.get(threadId, run.run_id)).status).toBe('interrupted')
    const other = await waiting(stage)
    await stage.client.runs.cancel(other.threadId, other.run.run_id, false, 'rollback')
    await expect.poll(() => stage.client.runs.list(other.threadId)).toEqual([])
  },
  async cancelMany(stage) {
    const { threadId, run } = await waiting(stage)
    const second = await stage.client.runs.create(threadId, 'steps', { input: { trail: [] } })
    await stage.client.runs.cancelMany({ threadId, runIds: [run.run_id] })
    expect((await stage.client.runs.get(threadId, run.run_id)).status).toBe('interrupted')
    await untilRun(stage.client, threadId, second.run_id, 'success')
    const third = await waiting(stage)
    await stage.client.runs.cancelMany({ threadId: third.threadId, status: 'pending' } as never)
    expect((await stage.client.runs.get(third.threadId, third.run.run_id)).status).toBe('interrupted')
  },
  async join(stage) {
    const threadId = await stage.thread()
    const run = await stage.client.runs.create(threadId, 'steps', { input: { trail: [] } })
    expect(await stage.client.runs.join(threadId, run.run_id)).toMatchObject({
      trail: ['first'],
      __interrupt__: [{ value: 'Well?' }],
    })
    const resumed = await stage.client.runs.create(threadId, 'steps', { command: { resume: 'yes' } })
    expect(await stage.client.runs.join(threadId, resumed.run_id)).toEqual(DONE)
    await expect(stage.client.runs.join(threadId, NOBODY)).rejects.toThrow(/404/)
  },
  async joinStream(stage) {
    const threadId = await stage.thread()
    const run = await stage.client.runs.create(threadId, 'steps', {
      input: { trail: [] },
      streamMode: 'updates',
    })
    const all = await Array.fromAsync(
      stage.client.runs.joinStream(threadId, run.run_id, { lastEventId: '-1' }),
    )
    expect(all.map(({ event }) => event)).toEqual(['metadata', 'updates', 'updates'])
    const after = { lastEventId: all[0]?.id ?? '' }
    expect(await Array.fromAsync(stage.client.runs.joinStream(threadId, run.run_id, after))).toEqual(
      all.slice(1),
    )
    const stateless = await stage.client.runs.create(null, 'configured', { input: { trail: [] } })
    const own = await Array.fromAsync(stage.client.runs.joinStream(null, stateless.run_id))
    expect(own.at(-1)?.data).toEqual({ trail: ['for-nobody'] })
  },
  async delete(stage) {
    const { threadId, runIds } = await finished(stage)
    await stage.client.runs.delete(threadId, runIds[0] ?? '')
    expect((await stage.client.runs.list(threadId)).map(({ run_id }) => run_id)).toEqual(runIds.slice(1))
    await expect(stage.client.runs.delete(threadId, runIds[0] ?? '')).rejects.toThrow(/404/)
  },
}

const STORE: Record<string, Check> = {
  async putItem({ client }) {
    const namespace = [newId()]
    await client.store.putItem(namespace, 'k', { a: 1 }, { index: false, ttl: 60 })
    await client.store.putItem(namespace, 'k', { a: 2 })
    expect(await client.store.getItem(namespace, 'k')).toMatchObject({ value: { a: 2 } })
  },
  async getItem({ client }) {
    const namespace = [newId(), 'b']
    expect(await client.store.getItem(namespace, 'k')).toBeNull()
    await client.store.putItem(namespace, 'k', { a: 1 })
    const item = await client.store.getItem(namespace, 'k', { refreshTtl: true })
    expect(item).toMatchObject({ namespace, key: 'k', value: { a: 1 } })
    expect(item?.createdAt).toMatch(/^\d{4}-\d\d-\d\dT/)
  },
  async deleteItem({ client }) {
    const namespace = [newId()]
    await client.store.putItem(namespace, 'k', { a: 1 })
    await client.store.putItem(namespace, 'other', { a: 1 })
    await client.store.deleteItem(namespace, 'k')
    expect(await client.store.getItem(namespace, 'k')).toBeNull()
    expect(await client.store.getItem(namespace, 'other')).not.toBeNull()
  },
  async searchItems({ client }) {
    const top = newId()
    await client.store.putItem([top, 'a'], '1', { kind: 'fruit', n: 1 })
    await client.store.putItem([top, 'b'], '2', { kind: 'fruit', n: 2 })
    await client.store.putItem([top, 'b'], '3', { kind: 'nut', n: 3 })
    const keys = async (more: object) =>
      (await client.store.searchItems([top], more)).items
        .map(({ key }) => key)
        .toSorted((a, b) => (a < b ? -1 : 1))
    expect(await keys({})).toEqual(['1', '2', '3'])
    expect(await keys({ filter: { kind: 'fruit', n: { $gt: 1 } } })).toEqual(['2'])
    expect(await keys({ limit: 2, offset: 2 })).toHaveLength(1)
    expect(await keys({ query: 'nut', limit: 1 })).toEqual(['3'])
  },
  async listNamespaces({ client }) {
    const top = newId()
    for (const last of ['a', 'b']) await client.store.putItem([top, 'x', last], 'k', { a: 1 })
    const list = async (more: object) =>
      (await client.store.listNamespaces({ prefix: [top], ...more })).namespaces.map((labels) =>
        labels.slice(1).join(),
      )
    expect((await list({})).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(['x,a', 'x,b'])
    expect(await list({ suffix: ['b'] })).toEqual(['x,b'])
    expect(await list({ maxDepth: 2 })).toEqual(['x'])
  },
}

const DAILY = { schedule: '0 5 * * *', input: { trail: [] } }

const CRONS: Record<string, Check> = {
  async createForThread(stage) {
    const threadId = await stage.thread()
    const cron = await stage.client.crons.createForThread(threadId, 'steps', { ...DAILY, metadata: { a: 1 } })
    expect(cron).toMatchObject({ thread_id: threadId, schedule: DAILY.schedule, metadata: { a: 1 } })
    const found = await stage.client.crons.search({ threadId })
    expect(found.map(({ cron_id }) => cron_id)).toEqual([cron.cron_id])
  },
  async create({ client }) {
    const cron = await client.crons.create('steps', { ...DAILY, timezone: 'Europe/Berlin' })
    expect(cron).toMatchObject({ schedule: DAILY.schedule })
    const next = new Date(nextRunOf(cron))
    expect(next.getTime()).toBeGreaterThan(Date.now())
    const hour = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', timeStyle: 'short' })
    expect(hour.format(next)).toBe('05:00')
    await client.crons.delete(cron.cron_id)
  },
  async update({ client }) {
    const cron = await client.crons.create('steps', DAILY)
    const changed = await client.crons.update(cron.cron_id, { schedule: '30 6 * * *', enabled: false })
    expect(changed).toMatchObject({ cron_id: cron.cron_id, schedule: '30 6 * * *', enabled: false })
    await client.crons.delete(cron.cron_id)
  },
  async delete(stage) {
    const threadId = await stage.thread()
    const { cron_id: cronId } = await stage.client.crons.createForThread(threadId, 'steps', DAILY)
    await stage.client.crons.delete(cronId)
    expect(await stage.client.crons.search({ threadId })).toEqual([])
    await expect(stage.client.crons.delete(cronId)).rejects.toThrow(/404/)
  },
  async search(stage) {
    const mark = newId()
    const ids: string[] = []
    for (const schedule of ['0 1 * * *', '0 2 * * *'])
      ids.push((await stage.client.crons.create('steps', { ...DAILY, schedule, metadata: { mark } })).cron_id)
    const search = async (more: object) =>
      (
        await stage.client.crons.search({
          metadata: { mark },
          sortOrder: 'asc',
          sortBy: 'created_at',
          ...more,
        })
      ).map(({ cron_id }) => cron_id)
    expect(await search({})).toEqual(ids)
    expect(await search({ limit: 1, offset: 1 })).toEqual(ids.slice(1))
    expect(await search({ assistantId: systemAssistantId('nested') })).toEqual([])
    for (const id of ids) await stage.client.crons.delete(id)
  },
  async count({ client }) {
    const mark = newId()
    expect(await client.crons.count({ metadata: { mark } })).toBe(0)
    const { cron_id: cronId } = await client.crons.create('steps', { ...DAILY, metadata: { mark } })
    expect(await client.crons.count({ metadata: { mark } })).toBe(1)
    await client.crons.delete(cronId)
  },
}

/** Calls of what is not here, which say so. */
const ABSENT: Record<string, Check> = {
  // Components of a graph's own for React: its internal call, and nothing that a graph needs.
  '~ui.getComponent': async ({ client }) => {
    await expect(client['~ui'].getComponent('steps', 'x')).rejects.toThrow(/^HTTP 404: There is no /)
  },
}

const SERVED = named({ assistants: ASSISTANTS, threads: THREADS, runs: RUNS, store: STORE, crons: CRONS })
const CALLS = { ...ABSENT, ...SERVED }

test('every call that the SDK has is below, and no other', () => {
  const calls = callsOf(new Client({ apiUrl: 'http://localhost:1', apiKey: null }))
  expect(Object.keys(CALLS).toSorted()).toEqual(calls.toSorted())
})

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT })

  test('what /info offers is what is called here', async () => {
    const { flags } = (await stage.http('GET', '/info')).json<{ flags: Record<string, boolean> }>()
    expect(flags).toMatchObject({ assistants: true, crons: true })
  })

  describe.each(Object.entries(CALLS))('%s', (name, check) => {
    test(name in SERVED ? 'does what it says' : 'is absent, and a plain 404', async () => {
      await check(stage)
    })
  })
})

/** Names as they are called: what each part of the client has beside what all parts share. */
function callsOf(client: Client): string[] {
  return Object.entries(client as unknown as Record<string, unknown>).flatMap(([part, value]) => {
    if (typeof value !== 'object' || value === null) return []
    const names: string[] = []
    for (let own = Object.getPrototypeOf(value) as object; !Object.hasOwn(own, 'fetch');) {
      names.push(...Object.getOwnPropertyNames(own).filter((name) => name !== 'constructor'))
      own = Object.getPrototypeOf(own) as object
    }
    return names.map((name) => `${part}.${name}`)
  })
}

function named(parts: Record<string, Record<string, Check>>): Record<string, Check> {
  return Object.fromEntries(
    Object.entries(parts).flatMap(([part, checks]) =>
      Object.entries(checks).map(([name, check]) => [`${part}.${name}`, check]),
    ),
  )
}

function assistant({ client }: Stage, more: { name?: string; metadata?: Record<string, unknown> } = {}) {
  return client.assistants.create({ graphId: 'steps', ...more })
}

/** A thread whose run has paused at its question. */
async function asked(stage: Stage, metadata: Record<string, unknown> = {}): Promise<string> {
  const { thread_id: threadId } = await stage.client.threads.create({ metadata })
  await stage.client.runs.wait(threadId, 'steps', { input: { trail: [] } })
  return threadId
}

/** A thread with two runs that have ended, oldest first. */
async function finished(stage: Stage) {
  const threadId = await asked(stage)
  await stage.client.runs.wait(threadId, 'steps', { command: { resume: 'yes' } })
  const runs = await stage.client.runs.list(threadId)
  return { threadId, runIds: runs.map(({ run_id }) => run_id).toReversed() }
}

/** A run whose time has not come. */
async function waiting(stage: Stage) {
  const threadId = await stage.thread()
  const run = await stage.client.runs.create(threadId, 'steps', { input: { trail: [] }, afterSeconds: 3_600 })
  return { threadId, run }
}

/** Some versions of the SDK type what is made as a run. */
function nextRunOf(cron: object): string {
  return (cron as { next_run_date: string }).next_run_date
}
