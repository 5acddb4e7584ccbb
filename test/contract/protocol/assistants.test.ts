import { describe, expect, test } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { says, useStage } from '../../support/stage.ts'

const PROJECT = new URL('../../support/modes/langgraph.json', import.meta.url).pathname

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT })
  const create = (more: object = {}) => stage.client.assistants.create({ graphId: 'modes', ...more })
  const status = async (method: string, path: string, body?: unknown) =>
    (await stage.http(method, path, body)).status

  test('a new assistant is version 1, named Untitled unless it says otherwise', async () => {
    const made = await create()
    expect(made).toMatchObject({ graph_id: 'modes', name: 'Untitled', version: 1, config: {}, metadata: {} })
    const named = await create({
      name: 'Careful',
      description: 'Asks twice.',
      config: { configurable: { tone: 'calm' } },
      metadata: { team: 'a' },
    })
    expect(await stage.client.assistants.get(named.assistant_id)).toEqual(named)
    expect(named).toMatchObject({ name: 'Careful', description: 'Asks twice.', metadata: { team: 'a' } })
  })

  test('an id that exists is 409, or given back with if_exists do_nothing; an unknown graph is 404', async () => {
    const { assistant_id: assistantId } = await create({ name: 'First' })
    await expect(create({ assistantId })).rejects.toThrow('409')
    expect(await create({ assistantId, name: 'Second', ifExists: 'do_nothing' })).toMatchObject({
      name: 'First',
    })
    await expect(create({ graphId: 'nobody' })).rejects.toThrow('404')
  })

  test('every change is a new version: metadata is merged, the rest replaced', async () => {
    const { assistant_id: id } = await create({
      config: { configurable: { a: 1, b: 2 } },
      metadata: { kept: 1, changed: 1 },
    })
    const second = await stage.client.assistants.update(id, {
      config: { configurable: { a: 3 } },
      metadata: { changed: 2 },
      name: 'Renamed',
    })
    expect(second).toMatchObject({
      version: 2,
      name: 'Renamed',
      config: { configurable: { a: 3 } },
      metadata: { kept: 1, changed: 2 },
    })
    expect(second.config.configurable).toEqual({ a: 3 })
    expect(await stage.client.assistants.update(id, {})).toMatchObject({ version: 3, name: 'Renamed' })
    const versions = await stage.client.assistants.getVersions(id)
    expect(versions.map(({ version }) => version)).toEqual([3, 2, 1])
    const page = await stage.client.assistants.getVersions(id, { limit: 1, offset: 1 })
    expect(page.map(({ version }) => version)).toEqual([2])
  })

  test('an earlier version counts again, and the next change is still a new one', async () => {
    const { assistant_id: id } = await create({ name: 'One' })
    await stage.client.assistants.update(id, { name: 'Two' })
    expect(await stage.client.assistants.setLatest(id, 1)).toMatchObject({ version: 1, name: 'One' })
    expect(await stage.client.assistants.get(id)).toMatchObject({ version: 1, name: 'One' })
    expect(await stage.client.assistants.update(id, { name: 'Three' })).toMatchObject({ version: 3 })
    await expect(stage.client.assistants.setLatest(id, 99)).rejects.toThrow('404')
  })

  test('changes at the same time are versions of their own', async () => {
    const { assistant_id: id } = await create()
    const all = await Promise.all(
      Array.from({ length: 8 }, async (_, index) =>
        stage.client.assistants.update(id, { name: `n${index}` }),
      ),
    )
    expect(all.map(({ version }) => version).toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('search filters, sorts, selects and counts; the headers say how many and where the next page is', async () => {
    const mark = newId()
    for (const name of ['Beta', 'alpha', 'Gamma']) await create({ name, metadata: { mark } })
    const found = await stage.client.assistants.search({
      metadata: { mark },
      sortBy: 'name',
      sortOrder: 'asc',
      limit: 2,
    })
    expect(found.map(({ name }) => name.toLowerCase())).toHaveLength(2)
    expect(await stage.client.assistants.count({ metadata: { mark } })).toBe(3)
    expect(await stage.client.assistants.count({ metadata: { mark }, name: 'LPH' })).toBe(1)
    const answer = await stage.http('POST', '/assistants/search', {
      metadata: { mark },
      limit: 2,
      select: ['name', 'version'],
    })
    expect(answer.headers.get('x-pagination-total')).toBe('3')
    expect(answer.headers.get('x-pagination-next')).toBe('2')
    expect(answer.json<object[]>().map((one) => Object.keys(one).toSorted())).toEqual([
      ['name', 'version'],
      ['name', 'version'],
    ])
  })

  test('a run takes the settings of its assistant, and its own before them', async () => {
    const { assistant_id: id } = await create({ config: { recursion_limit: 1 } })
    const threadId = await stage.thread()
    await expect(stage.client.runs.wait(threadId, id, { input: says('Go.') })).rejects.toThrow('Recursion')
    const fresh = await stage.thread()
    await stage.client.runs.wait(fresh, id, { input: says('Go.'), config: { recursion_limit: 20 } })
    expect((await stage.client.threads.get(fresh)).status).toBe('idle')
  })

  test('a deleted assistant is gone, with its threads where that is asked; the server keeps its own', async () => {
    const { assistant_id: id } = await create()
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, id, { input: says('Go.') })
    await stage.client.assistants.delete(id, { deleteThreads: true })
    await expect(stage.client.assistants.get(id)).rejects.toThrow('404')
    await expect(stage.client.threads.get(threadId)).rejects.toThrow('404')
    expect(await status('DELETE', '/assistants/modes')).toBe(409)
  })

  test('subgraphs are named with their schemas', async () => {
    const all = await stage.client.assistants.getSubgraphs('modes', { recurse: true })
    expect(Object.keys(all)).toEqual(['works'])
    expect(all['works']).toHaveProperty('state')
    expect(await stage.client.assistants.getSubgraphs('modes', { namespace: 'works' })).toHaveProperty(
      'works',
    )
    expect(await stage.client.assistants.getSubgraphs('modes', { namespace: 'nobody' })).toEqual({})
  })

  describe('bad input', () => {
    test.each([
      ['POST', '/assistants', {}],
      ['POST', '/assistants', { graph_id: 'modes', assistant_id: 'no uuid' }],
      ['POST', '/assistants', { graph_id: 'modes', config: 7 }],
      ['PATCH', '/assistants/modes', { metadata: [] }],
      ['POST', '/assistants/modes/latest', { version: 0 }],
      ['POST', '/assistants/modes/latest', {}],
      ['POST', '/assistants/search', { select: ['secret'] }],
      ['POST', '/assistants/count', { metadata: 'x' }],
      ['POST', '/assistants/modes/versions', { limit: 0 }],
    ])('%s %s %j is 422', async (method, path, body) => {
      expect(await status(method, path, body)).toBe(422)
    })
    test.each([
      ['PATCH', ''],
      ['DELETE', ''],
      ['POST', '/versions'],
      ['GET', '/subgraphs'],
    ])('%s of an assistant that there is not is 404', async (method, path) => {
      const body = method === 'GET' || method === 'DELETE' ? undefined : {}
      expect(await status(method, `/assistants/${newId()}${path}`, body)).toBe(404)
    })
  })
})
