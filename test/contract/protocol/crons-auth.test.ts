import { Client } from '@langchain/langgraph-sdk'
import { describe, expect, test, vi } from 'vitest'
import { onEachDatabase } from '../../support/each-database.ts'
import { WAIT } from '../../support/stage.ts'
import { TOLD_OF_ALICE } from '../../support/guarded/told.ts'
import { get, runsOf, useTurnedServer } from '../../support/turned-server.ts'

const GUARDED = new URL('../../support/guarded/langgraph.json', import.meta.url).pathname

onEachDatabase((database) => {
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
