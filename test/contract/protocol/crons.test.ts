import { Client, type Cron } from '@langchain/langgraph-sdk'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { type EachDatabase, onEachDatabase } from '../../support/each-database.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'
import { httpOn, WAIT } from '../../support/stage.ts'
import { TOLD_OF_ALICE } from '../../support/guarded/told.ts'

const STATES = new URL('../../support/states/langgraph.json', import.meta.url).pathname
const GUARDED = new URL('../../support/guarded/langgraph.json', import.meta.url).pathname
const MINUTE_MS = 60_000

/** A server whose clock is turned, so that nobody waits for a minute to come. */
function useTurnedServer(database: EachDatabase, project: string) {
  let server: TestServer | undefined
  let ahead = 0
  const now = () => new Date(Date.now() + ahead)
  beforeAll(async () => {
    server = await startTestServer({ ...database.place, env: { HOLDPOINT_CONFIG: project }, now })
  })
  afterAll(() => server?.close())
  const up = () => {
    if (server === undefined) throw new Error('The server is up from beforeAll on.')
    return server
  }
  return {
    get client() {
      return up().client
    },
    get url() {
      return up().url
    },
    get logLines() {
      return up().logLines
    },
    http: (...request: Parameters<ReturnType<typeof httpOn>>) => httpOn(up().url)(...request),
    now,
    turnTo(time: string | number) {
      ahead = new Date(time).getTime() - Date.now()
    },
    /** Turns the clock to the cron's next time, and lets the scheduler know. */
    async pass(client: Client, cronId: string) {
      const [cron] = (await client.crons.search({ limit: 1_000 })).filter(({ cron_id: id }) => id === cronId)
      ahead = Date.parse(cron?.next_run_date ?? '') - Date.now()
      await client.crons.update(cronId, {})
    },
  }
}

/** The runs of the cron, once there are that many, and all have ended. */
async function runsOf(client: Client, cronId: string, count: number) {
  return await vi.waitFor(async () => {
    const threads = await client.threads.search({ metadata: { cron_id: cronId } })
    const runs = (await Promise.all(threads.map(({ thread_id: id }) => client.runs.list(id)))).flat()
    expect(runs).toHaveLength(count)
    for (const { status } of runs) expect(['pending', 'running']).not.toContain(status)
    return runs
  }, WAIT)
}

async function get(client: Client, cronId: string): Promise<Cron & { last_error: object | null }> {
  const found = (await client.crons.search({ limit: 1_000 })).find(({ cron_id: id }) => id === cronId)
  if (found === undefined) throw new Error(`There is no cron ${cronId}.`)
  return found as Cron & { last_error: object | null }
}

onEachDatabase((database) => {
  describe('crons', () => {
    const server = useTurnedServer(database, STATES)
    const daily = { schedule: '0 9 * * *', input: { trail: [] } }
    const create = (more: object = {}) => server.client.crons.create('configured', { ...daily, ...more })

    test('/info says that there are crons', async () => {
      expect((await server.http('GET', '/info')).json()).toMatchObject({ flags: { crons: true } })
    })

    test('a cron is what was asked for, and due at its next time', async () => {
      server.turnTo('2027-11-21T08:59:50Z')
      const created = await create({
        input: { trail: [] },
        metadata: { team: 'blue' },
        timezone: 'Europe/Stockholm',
        endTime: '2028-01-31T18:00:00+01:00',
        onRunCompleted: 'keep',
      })
      const assistant = await server.client.assistants.search({ graphId: 'configured' })
      expect(created).toMatchObject({
        assistant_id: assistant[0]?.assistant_id,
        thread_id: null,
        user_id: null,
        schedule: '0 9 * * *',
        timezone: 'Europe/Stockholm',
        end_time: '2028-01-31T17:00:00.000Z',
        on_run_completed: 'keep',
        enabled: true,
        metadata: { team: 'blue' },
        payload: { input: { trail: [] } },
        next_run_date: '2027-11-22T08:00:00.000Z',
        last_error: null,
      })
      expect(created).not.toHaveProperty('caller')
      expect(await get(server.client, created.cron_id)).toEqual(created)
      expect((await server.http('GET', `/runs/crons/${created.cron_id}`)).json()).toEqual(created)
      await server.client.crons.delete(created.cron_id)
    })

    test('at each due time one run is started, on a thread of its own that stays where it is to be kept', async () => {
      const { cron_id: cronId } = await create({ metadata: { team: 'blue' }, onRunCompleted: 'keep' })
      for (let count = 1; count <= 3; count++) {
        await server.pass(server.client, cronId)
        const runs = await runsOf(server.client, cronId, count)
        expect(new Set(runs.map(({ thread_id: id }) => id)).size).toBe(count)
        for (const run of runs)
          expect(run).toMatchObject({
            status: 'success',
            metadata: { cron_id: cronId, team: 'blue', graph_id: 'configured' },
          })
        const { next_run_date: next } = await get(server.client, cronId)
        expect(Date.parse(next ?? '') - server.now().getTime()).toBeGreaterThan(23 * 60 * MINUTE_MS)
      }
      await server.client.crons.delete(cronId)
      // Its runs stay.
      await runsOf(server.client, cronId, 3)
    })

    test('the threads of the others are in no list', async () => {
      const { cron_id: cronId } = await create()
      const [before] = [await get(server.client, cronId)]
      await server.pass(server.client, cronId)
      await vi.waitFor(async () => {
        expect((await get(server.client, cronId)).next_run_date).not.toBe(before.next_run_date)
      }, WAIT)
      expect(await server.client.threads.search({ metadata: { cron_id: cronId } })).toEqual([])
      await server.client.crons.delete(cronId)
    })

    test('on a thread the runs come one after the other, with what it has', async () => {
      const { thread_id: threadId } = await server.client.threads.create()
      const created = await server.client.crons.createForThread(threadId, 'configured', {
        ...daily,
        config: { configurable: { tenant: 'acme' } },
      })
      expect(created).toMatchObject({ thread_id: threadId, on_run_completed: null })
      for (let count = 1; count <= 2; count++) {
        await server.pass(server.client, created.cron_id)
        await vi.waitFor(async () => {
          const { values } = await server.client.threads.getState<{ trail: string[] }>(threadId)
          expect(values.trail).toEqual(Array.from({ length: count }, () => 'for-acme'))
        }, WAIT)
      }
      await server.client.threads.delete(threadId)
      await expect(server.client.crons.delete(created.cron_id)).rejects.toThrow(/404/)
    })

    test('every option of a run is one of the cron', async () => {
      const { cron_id: cronId } = await create({
        input: { trail: ['given'] },
        config: { tags: ['nightly'], recursion_limit: 7, configurable: { tenant: 'acme' } },
        context: { tone: 'calm' },
        webhook: 'https://example.com/told',
        interruptBefore: ['for-acme'],
        interruptAfter: '*',
        multitaskStrategy: 'interrupt',
        durability: 'exit',
        streamMode: ['updates', 'custom'],
        streamSubgraphs: true,
        streamResumable: true,
        onRunCompleted: 'keep',
      })
      await server.pass(server.client, cronId)
      const [run] = await runsOf(server.client, cronId, 1)
      expect(run).toMatchObject({
        multitask_strategy: 'interrupt',
        kwargs: {
          input: { trail: ['given'] },
          config: { tags: ['nightly'], recursion_limit: 7, configurable: { tenant: 'acme' } },
          context: { tone: 'calm' },
          webhook: 'https://example.com/told',
          interrupt_before: ['for-acme'],
          interrupt_after: '*',
          durability: 'exit',
          stream_mode: ['updates', 'custom'],
          stream_subgraphs: true,
          stream_resumable: true,
        },
      })
      const { status } = await server.client.threads.get(run?.thread_id ?? '')
      expect(status).toBe('interrupted')
      await server.client.crons.delete(cronId)
    })

    test('a change counts from the next run on; metadata is merged, null takes away', async () => {
      server.turnTo('2027-11-21T12:00:00Z')
      const { cron_id: cronId } = await create({
        input: { trail: ['old'] },
        context: { tone: 'calm' },
        metadata: { a: 1, b: 1 },
        endTime: '2028-01-01T00:00:00Z',
      })
      const changed = await server.client.crons.update(cronId, {
        schedule: '30 7 * * *',
        timezone: 'Asia/Kathmandu',
        input: { trail: ['new'] },
        metadata: { b: 2 },
        config: { configurable: { tenant: 'acme' } },
        webhook: 'https://example.com/told',
        interruptBefore: '*',
        onRunCompleted: 'keep',
        streamMode: 'updates',
        durability: 'async',
        endTime: null,
      })
      expect(changed).toMatchObject({
        schedule: '30 7 * * *',
        timezone: 'Asia/Kathmandu',
        end_time: null,
        on_run_completed: 'keep',
        next_run_date: '2027-11-22T01:45:00.000Z',
        metadata: { a: 1, b: 2 },
        payload: {
          input: { trail: ['new'] },
          context: { tone: 'calm' },
          config: { configurable: { tenant: 'acme' } },
          webhook: 'https://example.com/told',
          interrupt_before: '*',
          stream_mode: 'updates',
          durability: 'async',
        },
      })
      expect(Date.parse(changed.updated_at)).toBeGreaterThan(Date.parse(changed.created_at))
      const less = { webhook: null, interrupt_before: null, timezone: null }
      const plain = await server.http('PATCH', `/runs/crons/${cronId}`, less)
      expect(plain.json()).toMatchObject({ timezone: null, next_run_date: '2027-11-22T07:30:00.000Z' })
      expect(Object.keys(plain.json<Cron>().payload).toSorted()).toEqual([
        'config',
        'context',
        'durability',
        'input',
        'stream_mode',
      ])
      await server.pass(server.client, cronId)
      expect((await runsOf(server.client, cronId, 1))[0]?.metadata).toMatchObject({ a: 1, b: 2 })
      await server.client.crons.delete(cronId)
    })

    test('a disabled cron is never due; enabled again it makes nothing up', async () => {
      server.turnTo('2027-11-21T12:00:00Z')
      const { cron_id: cronId } = await create({ enabled: false, onRunCompleted: 'keep' })
      expect(await get(server.client, cronId)).toMatchObject({ enabled: false, next_run_date: null })
      server.turnTo('2027-11-23T12:00:00Z')
      const enabled = await server.client.crons.update(cronId, { enabled: true })
      expect(enabled).toMatchObject({ enabled: true, next_run_date: '2027-11-24T09:00:00.000Z' })
      await server.pass(server.client, cronId)
      await runsOf(server.client, cronId, 1)
      const disabled = await server.client.crons.update(cronId, { enabled: false })
      expect(disabled).toMatchObject({ enabled: false, next_run_date: null })
      await server.client.crons.delete(cronId)
    })

    test('after its end it stays, and is due no more', async () => {
      server.turnTo('2027-11-21T12:00:00Z')
      const { cron_id: cronId, next_run_date: next } = await create({
        endTime: '2027-11-22T09:00:00Z',
        onRunCompleted: 'keep',
      })
      expect(next).toBe('2027-11-22T09:00:00.000Z')
      await server.pass(server.client, cronId)
      await runsOf(server.client, cronId, 1)
      expect(await get(server.client, cronId)).toMatchObject({ enabled: true, next_run_date: null })
      const longer = await server.client.crons.update(cronId, { endTime: '2027-12-01T00:00:00' })
      expect(longer).toMatchObject({
        end_time: '2027-12-01T00:00:00.000Z',
        next_run_date: '2027-11-23T09:00:00.000Z',
      })
      await server.client.crons.delete(cronId)
    })

    test.each([
      ['2026-03-28T12:00:00Z', '30 2 * * *', ['2026-03-29T01:00:00.000Z', '2026-03-30T00:30:00.000Z']],
      ['2026-10-24T12:00:00Z', '30 2 * * *', ['2026-10-25T00:30:00.000Z', '2026-10-26T01:30:00.000Z']],
      ['2026-10-25T00:10:00Z', '30 * * * *', ['2026-10-25T00:30:00.000Z', '2026-10-25T01:30:00.000Z']],
    ])('where the clock is changed after %s, "%s" is due once for each time', async (from, schedule, due) => {
      server.turnTo(from)
      const { cron_id: cronId } = await create({
        schedule,
        timezone: 'Europe/Stockholm',
        onRunCompleted: 'keep',
      })
      for (const [index, time] of due.entries()) {
        expect((await get(server.client, cronId)).next_run_date).toBe(time)
        await server.pass(server.client, cronId)
        await runsOf(server.client, cronId, index + 1)
      }
      await server.client.crons.delete(cronId)
    })

    test('a run that is refused is not started later, is told, and keeps no other cron waiting', async () => {
      const { thread_id: threadId } = await server.client.threads.create()
      const held = await server.client.runs.create(threadId, 'configured', { afterSeconds: 3_600 })
      const busy = await server.client.crons.createForThread(threadId, 'configured', {
        ...daily,
        multitaskStrategy: 'reject',
      })
      const free = await create({ onRunCompleted: 'keep' })
      await server.pass(server.client, busy.cron_id)
      await runsOf(server.client, free.cron_id, 1)
      const missed = await vi.waitFor(async () => {
        const cron = await get(server.client, busy.cron_id)
        expect(cron.last_error).toMatchObject({ due: busy.next_run_date, error: 'thread_busy' })
        return cron
      }, WAIT)
      expect(Date.parse(missed.next_run_date ?? '')).toBeGreaterThan(server.now().getTime())
      await vi.waitFor(() => {
        const told = server.logLines.filter((line) => line.includes('its next time counts'))
        expect(told.join()).toContain(busy.cron_id)
      }, WAIT)
      expect((await server.client.runs.list(threadId)).map(({ run_id: id }) => id)).toEqual([held.run_id])
      for (const { cron_id: id } of [busy, free]) await server.client.crons.delete(id)
    })

    test('crons are found by what they are, sorted, in pages and in part', async () => {
      const mark = newId()
      const { thread_id: threadId } = await server.client.threads.create()
      const one = await server.client.crons.createForThread(threadId, 'steps', {
        schedule: '0 3 1 1 *',
        metadata: { mark, n: 1 },
      })
      const two = await create({ schedule: '0 2 1 1 *', metadata: { mark, n: 2 } })
      const three = await create({ schedule: '0 1 1 1 *', metadata: { mark, n: 3 }, enabled: false })
      const assistantId = one.assistant_id
      const search = async (query: object = {}) => {
        const found = await server.client.crons.search({ metadata: { mark }, ...query })
        return found.map(({ metadata }) => metadata['n'])
      }
      expect(await search()).toEqual([3, 2, 1])
      expect(await search({ sortBy: 'next_run_date', sortOrder: 'asc' })).toEqual([2, 1, 3])
      for (const sortBy of ['cron_id', 'assistant_id', 'thread_id', 'updated_at'])
        expect(await search({ sortBy })).toHaveLength(3)
      expect(await search({ threadId })).toEqual([1])
      expect(await search({ assistantId })).toEqual([1])
      expect(await search({ assistantId: 'steps' })).toEqual([1])
      expect(await search({ enabled: false })).toEqual([3])
      expect(await search({ metadata: { mark, n: 2 } })).toEqual([2])
      expect(await search({ limit: 1, offset: 1 })).toEqual([2])
      expect(await server.client.crons.count({ metadata: { mark } })).toBe(3)
      expect(await server.client.crons.count({ metadata: { mark }, threadId })).toBe(1)
      expect(await server.client.crons.count({ metadata: { mark }, assistantId })).toBe(1)

      const page = await server.http('POST', '/runs/crons/search', { metadata: { mark }, limit: 2 })
      expect(page.headers.get('x-pagination-total')).toBe('3')
      expect(page.headers.get('x-pagination-next')).toBe('2')
      const [part] = await server.client.crons.search({
        metadata: { mark, n: 1 },
        select: ['cron_id', 'schedule', 'now'],
      })
      expect(part).toEqual({ cron_id: one.cron_id, schedule: '0 3 1 1 *', now: expect.any(String) })
      for (const { cron_id: id } of [one, two, three]) await server.client.crons.delete(id)
      expect(await search()).toEqual([])
    })

    test.each([
      ['no schedule', { schedule: undefined }, /schedule/],
      ['six fields', { schedule: '0 * * * * *' }, /five fields/],
      ['a nickname', { schedule: '@daily' }, /five fields/],
      ['a day that never comes', { schedule: '0 0 31 2 *' }, /never comes/],
      ['a zone that is none', { timezone: 'Mars/Phobos' }, /IANA/],
      ['an offset for a zone', { timezone: '+01:00' }, /IANA/],
      ['an end that is no time', { end_time: 'tomorrow' }, /end_time/],
      ['the 31st of June', { end_time: '2030-06-31T00:00:00Z' }, /end_time/],
      ['an end that is over', { end_time: '2020-01-01T00:00:00Z' }, /over already/],
      ['an end before the first time', { schedule: '0 0 1 1 *', end_time: '2027-11-30T00:00:00Z' }, /before/],
      ['another rule for threads', { on_run_completed: 'burn' }, /on_run_completed/],
      ['another strategy', { multitask_strategy: 'wait' }, /multitask_strategy/],
      ['a webhook to a path of nobody', { webhook: '/told' }, /http\.app/],
      ['a schedule as long as a book', { schedule: `${'1,'.repeat(200)}1 * * * *` }, /200/],
      ['NUL in the zone', { timezone: 'UTC\u0000' }, /NUL|IANA/],
    ])('%s is 422', async (_name, more, message) => {
      server.turnTo('2027-11-21T12:00:00Z')
      const body = { assistant_id: 'configured', ...daily, ...more }
      const { cron_id: cronId } = await create()
      const answers = [await server.http('POST', '/runs/crons', body)]
      if (body.schedule !== undefined) answers.push(await server.http('PATCH', `/runs/crons/${cronId}`, more))
      for (const answer of answers) {
        expect([answer.status, answer.text]).toEqual([422, expect.stringMatching(message)])
      }
      await server.client.crons.delete(cronId)
    })

    test('what is not there is 404', async () => {
      await expect(server.client.crons.create('nobody', daily)).rejects.toThrow(
        'HTTP 404: Assistant not found',
      )
      await expect(server.client.crons.create(newId(), daily)).rejects.toThrow(/404/)
      await expect(server.client.crons.createForThread(newId(), 'configured', daily)).rejects.toThrow(
        /404.*Thread/,
      )
      await expect(server.client.crons.update(newId(), {})).rejects.toThrow(/404.*Cron/)
      await expect(server.client.crons.delete(newId())).rejects.toThrow(/404.*Cron/)
      expect((await server.http('GET', `/runs/crons/${newId()}`)).status).toBe(404)
      expect((await server.http('GET', '/runs/crons/no-uuid')).status).toBe(422)
    })
  })

  describe('crons of a project with authentication', () => {
    const server = useTurnedServer(database, GUARDED)
    const as = (name: string) =>
      new Client({
        apiUrl: server.url,
        apiKey: null,
        defaultHeaders: { authorization: `Bearer ${name}`, 'x-tone': 'loud', 'x-secret-word': 'no' },
        callerOptions: { maxRetries: 0 },
      })
    const daily = { schedule: '0 9 * * *', onRunCompleted: 'keep' as const }

    test('the runs are those of whoever created the cron, whoever changes it', async () => {
      const created = await as('alice').crons.create('echo', {
        ...daily,
        input: { answer: 1 },
        config: { configurable: { langgraph_auth_user_id: 'boss' } },
      })
      expect(created).toMatchObject({ user_id: 'alice', metadata: { owner: 'alice' } })
      const { cron_id: cronId } = await as('admin').crons.update(created.cron_id, { input: { answer: 2 } })
      await server.pass(as('alice'), cronId)
      const [run] = await runsOf(as('alice'), cronId, 1)
      const { values } = await as('alice').threads.get(run?.thread_id ?? '')
      expect(values).toEqual({
        answer: 2,
        seen: TOLD_OF_ALICE,
      })
      // The thread is hers, too.
      await expect(as('bob').threads.get(run?.thread_id ?? '')).rejects.toThrow(/404/)
      await as('alice').crons.delete(cronId)
    })

    test('what a handler changes is what is carried out', async () => {
      const cron = await as('alice').crons.create('echo', { schedule: '0 0 * * *', input: { answer: 1 } })
      expect(cron).toMatchObject({
        schedule: '5 0 * * *',
        metadata: { owner: 'alice' },
        payload: { input: { answer: 1 }, context: { planned: 'alice' } },
      })
      await as('alice').crons.delete(cron.cron_id)
    })

    test("a cron of somebody else's is not there, whatever is asked of it", async () => {
      const mine = await as('alice').crons.create('echo', daily)
      const bob = { authorization: 'Bearer bob' }
      for (const [method, body] of [
        ['GET', undefined],
        ['PATCH', { enabled: false }],
        ['PATCH', { metadata: { owner: 'bob' } }],
        ['DELETE', undefined],
      ] as const) {
        const answer = await server.http(method, `/runs/crons/${mine.cron_id}`, body, bob)
        expect([answer.status, answer.text]).toEqual([404, `Cron ${mine.cron_id} does not exist.`])
      }
      expect(await as('bob').crons.search()).toEqual([])
      expect(await as('bob').crons.search({ metadata: { owner: 'alice' } })).toEqual([])
      expect(await as('bob').crons.count()).toBe(0)
      expect(await as('admin').crons.count({ metadata: { owner: 'alice' } })).toBe(1)
      expect(await get(as('alice'), mine.cron_id)).toEqual(mine)
      await as('alice').crons.delete(mine.cron_id)
    })

    test("a thread of somebody else's has no crons of mine, and one that was taken from me starts none", async () => {
      const { thread_id: threadId } = await as('alice').threads.create()
      await expect(as('bob').crons.createForThread(threadId, 'echo', daily)).rejects.toThrow(/404.*Thread/)
      const { cron_id: cronId } = await as('alice').crons.createForThread(threadId, 'echo', daily)
      await as('admin').threads.update(threadId, { metadata: { owner: 'bob' } })
      await server.pass(as('alice'), cronId)
      await vi.waitFor(async () => {
        expect((await get(as('alice'), cronId)).last_error).toMatchObject({ error: 'thread_not_found' })
      }, WAIT)
      expect(await as('bob').runs.list(threadId)).toEqual([])
      await as('alice').crons.delete(cronId)
    })

    test('who may not start a run may stop a cron that is theirs, but not change what it starts', async () => {
      const { cron_id: cronId } = await as('alice').crons.create('echo', { ...daily, input: { answer: 1 } })
      await as('admin').crons.update(cronId, { metadata: { owner: 'reader' } })
      await expect(as('alice').crons.update(cronId, { enabled: false })).rejects.toThrow(/404/)
      await expect(as('reader').crons.update(cronId, { input: { answer: 2 } })).rejects.toThrow(
        'HTTP 403: Readers start nothing.',
      )
      const stopped = await as('reader').crons.update(cronId, { enabled: false })
      expect(stopped).toMatchObject({ enabled: false, user_id: 'alice', payload: { input: { answer: 1 } } })
      await as('reader').crons.delete(cronId)
    })

    test('who may not start a run may not have one started, nor what a handler of crons refuses', async () => {
      await expect(as('reader').crons.create('echo', daily)).rejects.toThrow(
        'HTTP 403: Readers start nothing.',
      )
      const often = { schedule: '* * * * *' }
      await expect(as('alice').crons.create('echo', often)).rejects.toThrow('HTTP 403: Not so often.')
      const { assistant_id: theirs } = await as('alice').assistants.create({ graphId: 'echo' })
      await expect(as('bob').crons.create(theirs, daily)).rejects.toThrow(/404.*Assistant/)
      for (const path of ['/runs/crons', '/runs/crons/search', '/runs/crons/count'])
        expect((await server.http('POST', path, {})).status).toBe(401)
      for (const owner of ['reader', 'alice', 'bob'])
        expect(await as('admin').crons.count({ metadata: { owner } })).toBe(0)
    })
  })
})
