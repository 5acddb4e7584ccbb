import { Client } from '@langchain/langgraph-sdk'
import { describe, expect, test } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { untilThread, useStage } from '../../support/stage.ts'

const PROJECT = new URL('../../support/guarded/langgraph.json', import.meta.url).pathname

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT })
  const as = (name: string) =>
    new Client({
      apiUrl: stage.url,
      apiKey: null,
      defaultHeaders: { authorization: `Bearer ${name}` },
      callerOptions: { maxRetries: 0 },
    })
  const httpAs = (name: string, method: string, path: string, body?: unknown) =>
    stage.http(method, path, body, { authorization: `Bearer ${name}` })

  describe('what somebody sees', () => {
    test("what is said of somebody else's thread is what is said of none", async () => {
      const { thread_id: threadId } = await as('alice').threads.create()
      const run = await as('alice').runs.create(threadId, 'asks', { input: {} })
      await untilThread(as('alice'), threadId, 'interrupted')
      const answers = async (
        method: string,
        path: (thread: string, run: string) => string,
        body?: object,
      ) => {
        const [there, nowhere] = [newId(), newId()]
        const [own, none] = await Promise.all([
          httpAs('bob', method, path(threadId, run.run_id), body),
          httpAs('bob', method, path(nowhere, there), body),
        ])
        return [own, none].map(({ status, text }, index) => [
          status,
          text.replaceAll(index === 0 ? threadId : nowhere, 'T'),
        ])
      }
      for (const [method, path, body] of [
        ...[{ decisions: [] }, 'forged', { ['0'.repeat(32)]: 'forged' }].flatMap((resume) => [
          [
            'POST',
            (id: string) => `/threads/${id}/runs/wait`,
            { assistant_id: 'asks', command: { resume } },
          ] as const,
        ]),
        ['GET', (_: string, id: string) => `/runs/${id}/stream`, undefined],
        ['GET', (_: string, id: string) => `/runs/${id}/stream?cancel_on_disconnect=1`, undefined],
      ] as const) {
        const [own, none] = await answers(method, path, body)
        expect(own?.[0]).toBe(404)
        expect(own).toEqual(none)
      }
      await as('alice').runs.wait(threadId, 'asks', { command: { resume: 'mine' } })
    })

    test('who may read a run may not cancel it by going away', async () => {
      const { thread_id: threadId } = await as('starter').threads.create()
      const run = await as('starter').runs.create(threadId, 'echo', { input: {}, afterSeconds: 3_600 })
      const at = `/threads/${threadId}/runs/${run.run_id}`
      for (const path of [`${at}/join`, `${at}/stream`, `/runs/${run.run_id}/stream`]) {
        const answer = await httpAs('starter', 'GET', `${path}?cancel_on_disconnect=1`)
        expect([answer.status, answer.text]).toEqual([403, 'Not authorized'])
      }
      expect((await as('starter').runs.get(threadId, run.run_id)).status).toBe('pending')
      expect((await httpAs('admin', 'POST', `${at}/cancel?wait=1`)).status).toBe(204)
    })

    test("a thread of somebody else's is not there, whatever is asked of it", async () => {
      const { thread_id: threadId } = await as('alice').threads.create()
      const run = await as('alice').runs.create(threadId, 'asks', { input: {} })
      await untilThread(as('alice'), threadId, 'interrupted')
      const at = `/threads/${threadId}`
      for (const [method, path, body] of [
        ['GET', at, undefined],
        ['PATCH', at, { metadata: { owner: 'bob' } }],
        ['DELETE', at, undefined],
        ['POST', `${at}/copy`, undefined],
        ['GET', `${at}/storage`, undefined],
        ['GET', `${at}/effects`, undefined],
        ['GET', `${at}/files`, undefined],
        ['GET', `${at}/state`, undefined],
        ['POST', `${at}/state`, { values: null, as_node: '__end__' }],
        ['PATCH', `${at}/state`, { metadata: {} }],
        ['POST', `${at}/state/checkpoint`, { checkpoint: {} }],
        ['GET', `${at}/history`, undefined],
        ['POST', `${at}/history`, {}],
        ['GET', `${at}/stream`, undefined],
        ['GET', `${at}/runs`, undefined],
        ['POST', `${at}/runs`, { assistant_id: 'echo' }],
        ['POST', `${at}/runs`, { assistant_id: 'echo', if_not_exists: 'create' }],
        ['POST', `${at}/runs/stream`, { assistant_id: 'echo' }],
        ['POST', `${at}/runs/wait`, { assistant_id: 'asks', command: { resume: 'forged' } }],
        ['GET', `${at}/runs/${run.run_id}`, undefined],
        ['GET', `${at}/runs/${run.run_id}/join`, undefined],
        ['GET', `${at}/runs/${run.run_id}/stream`, undefined],
        ['GET', `/runs/${run.run_id}/stream`, undefined],
        ['POST', `${at}/runs/${run.run_id}/cancel`, undefined],
        ['POST', `${at}/runs/${run.run_id}/redrive`, undefined],
        ['DELETE', `${at}/runs/${run.run_id}`, undefined],
        ['POST', `${at}/stream/events`, { channels: ['values'] }],
      ] as const) {
        const answer = await httpAs('bob', method, path, body)
        expect([answer.status, method, path]).toEqual([404, method, path])
      }
      const command = (method: string, params: object) =>
        httpAs('bob', 'POST', `${at}/commands`, { id: 1, method, params })
      for (const [method, params] of [
        ['run.start', { assistant_id: 'echo', input: {} }],
        ['input.respond', { interrupt_id: 'x', response: 'forged' }],
        ['state.get', {}],
        ['agent.getTree', {}],
      ] as const)
        expect((await command(method, params)).json(), method).toMatchObject({
          type: 'error',
          error: 'no_such_run',
        })
      expect(await as('bob').threads.prune([threadId])).toEqual({ pruned_count: 0 })
      await as('bob').runs.cancelMany({ threadId, status: 'all' } as never)

      const thread = await as('alice').threads.get(threadId)
      expect([thread.status, thread.metadata?.['owner']]).toEqual(['interrupted', 'alice'])
      expect(await as('alice').runs.list(threadId)).toHaveLength(1)
      expect((await as('admin').threads.get(threadId)).thread_id).toBe(threadId)
      await as('alice').runs.wait(threadId, 'asks', { command: { resume: 'mine' } })
    })

    test('searches and counts find what is allowed, also against what they ask for', async () => {
      const mark = newId()
      await as('alice').threads.create({ metadata: { mark } })
      await as('bob').threads.create({ metadata: { mark } })
      const found = await as('alice').threads.search({ metadata: { mark } })
      expect(found.map(({ metadata }) => metadata?.['owner'])).toEqual(['alice'])
      expect(await as('alice').threads.count({ metadata: { mark } })).toBe(1)
      expect(await as('alice').threads.search({ metadata: { mark, owner: 'bob' } })).toEqual([])
      expect(await as('admin').threads.count({ metadata: { mark } })).toBe(2)
    })

    test('the id of a thread that is there is taken, also for those who do not see it', async () => {
      const threadId = newId()
      await as('alice').threads.create({ threadId })
      for (const ifExists of ['raise', 'do_nothing'] as const)
        await expect(as('bob').threads.create({ threadId, ifExists })).rejects.toThrow(/409/)
    })

    test('what a handler adds is kept: a run makes a thread of its caller, a copy is theirs who copy', async () => {
      const threadId = newId()
      await as('bob').runs.wait(threadId, 'echo', { input: {}, ifNotExists: 'create' })
      expect((await as('bob').threads.get(threadId)).metadata).toMatchObject({ owner: 'bob' })
      const copy = await as('admin').threads.copy(threadId)
      expect(copy.metadata).toMatchObject({ owner: 'admin' })
    })

    test('what a handler takes away from a copy is not in it', async () => {
      const { thread_id: threadId } = await as('bob').threads.create({ metadata: { kept: 1 } })
      await as('bob').threads.update(threadId, { metadata: { sealed: 'by bob' } })
      expect((await as('bob').threads.copy(threadId)).metadata).toEqual({ kept: 1, owner: 'bob' })
    })

    test('assistants are found by the lists in their metadata; what is denied is denied', async () => {
      const name = newId()
      const assistant = await as('alice').assistants.create({ graphId: 'echo', name })
      expect(assistant.metadata).toMatchObject({ members: ['alice', 'boss'] })
      for (const member of ['alice', 'boss']) {
        expect(await as(member).assistants.search({ name })).toHaveLength(1)
        expect((await as(member).assistants.get(assistant.assistant_id)).name).toBe(name)
      }
      expect(await as('bob').assistants.search({ name })).toEqual([])
      expect(await as('bob').assistants.count({ name })).toBe(0)
      await expect(as('bob').assistants.get(assistant.assistant_id)).rejects.toThrow(/404/)
      await expect(as('bob').assistants.update(assistant.assistant_id, { name: 'x' })).rejects.toThrow(/404/)
      await expect(as('bob').runs.wait(null, assistant.assistant_id, { input: {} })).rejects.toThrow(/404/)
      await expect(as('alice').assistants.delete(assistant.assistant_id)).rejects.toThrow(
        'HTTP 403: Not authorized',
      )
      await as('alice').runs.wait(null, assistant.assistant_id, { input: {} })
    })

    test('who may start runs and no more answers no approvals, whichever way', async () => {
      const starter = await as('starter').threads.create()
      const threadId = starter.thread_id
      await as('starter').runs.wait(threadId, 'clerk', { input: { messages: [] } })
      const [held] = (await httpAs('starter', 'GET', `/approvals?thread_id=${threadId}`)).json<
        [{ approval_id: string; interrupt_id: string }]
      >()
      const approve = { type: 'approve' }
      const decision = await httpAs('starter', 'POST', `/approvals/${held.approval_id}/decisions`, approve)
      expect(decision.status).toBe(403)
      for (const resume of [approve, { [held.interrupt_id]: approve }, { decisions: [approve] }]) {
        const body = { assistant_id: 'clerk', command: { resume } }
        for (const route of ['runs', 'runs/wait', 'runs/stream'])
          expect((await httpAs('starter', 'POST', `/threads/${threadId}/${route}`, body)).status).toBe(403)
      }
      const respond = {
        id: 1,
        method: 'input.respond',
        params: { namespace: [], interrupt_id: held.interrupt_id, response: approve },
      }
      const commanded = await httpAs('starter', 'POST', `/threads/${threadId}/commands`, respond)
      expect(commanded.text).not.toContain('"success"')
      expect((await as('admin').threads.get(threadId)).status).toBe('interrupted')
    })

    test('a handler that throws is answered with what it throws, and nothing has happened', async () => {
      const { thread_id: threadId } = await as('reader').threads.create()
      await expect(as('reader').runs.create(threadId, 'echo', {})).rejects.toThrow(
        'HTTP 403: Readers start nothing.',
      )
      await expect(as('reader').runs.create(null, 'echo', {})).rejects.toThrow(/403/)
      await expect(as('reader').runs.createBatch([{ assistantId: 'echo', input: {} }])).rejects.toThrow(/403/)
      const command = { id: 1, method: 'run.start', params: { assistant_id: 'echo', input: {} } }
      expect((await httpAs('reader', 'POST', `/threads/${threadId}/commands`, command)).status).toBe(403)
      expect(await as('reader').runs.list(threadId)).toEqual([])
    })
  })
})
