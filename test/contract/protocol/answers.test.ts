import { describe, expect, test } from 'vitest'
import { onEachDatabase, onEmbedded } from '../../support/each-database.ts'
import { useStage } from '../../support/stage.ts'

const STATES = new URL('../../support/states/langgraph.json', import.meta.url).pathname
const GUARDED = new URL('../../support/guarded/langgraph.json', import.meta.url).pathname

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: STATES })
  const get = async (path: string) => (await stage.http('GET', path)).json()

  test('a thread that never ran has no checkpoint, although its graph is known', async () => {
    const { thread_id: threadId } = await stage.client.threads.create({ graphId: 'nested' })
    const empty = { values: {}, next: [], tasks: [], checkpoint: null, parent_checkpoint: null }
    expect(await get(`/threads/${threadId}/state`)).toMatchObject(empty)
    expect(await get(`/threads/${threadId}/state?subgraphs=true`)).toMatchObject(empty)
    expect(await get(`/threads/${threadId}/history`)).toEqual([])
  })

  test("the end of a run that never ran is the thread's values", async () => {
    const { thread_id: threadId } = await stage.client.threads.create()
    await stage.client.runs.wait(threadId, 'configured', { input: { trail: [] } })
    const run = await stage.client.runs.create(threadId, 'configured', { input: {}, afterSeconds: 3_600 })
    await stage.client.runs.cancel(threadId, run.run_id, true)
    expect(await stage.client.runs.join(threadId, run.run_id)).toEqual({ trail: ['for-nobody'] })
  })

  test('an assistant is drawn as it would run', async () => {
    const { assistant_id: id } = await stage.client.assistants.create({
      graphId: 'configured',
      config: { configurable: { tenant: 'acme' } },
    })
    const nodesOf = async (assistant: string) =>
      (await stage.client.assistants.getGraph(assistant)).nodes.map((node) => node.id)
    expect(await nodesOf(id)).toContain('for-acme')
    expect(await nodesOf('configured')).toContain('for-nobody')
  })

  test.each([
    ['POST', '/threads/search', 'body'],
    ['POST', '/assistants/search', 'body'],
    ['POST', '/runs/crons/search', 'body'],
    ['GET', '/approvals', 'query'],
    ['GET', 'runs', 'query'],
  ])('%s %s says how many there are, also behind the last page', async (method, where, place) => {
    const { thread_id: threadId } = await stage.client.threads.create()
    await stage.client.runs.wait(threadId, 'configured', { input: { trail: [] } })
    const path = where === 'runs' ? `/threads/${threadId}/runs` : where
    const total = async (offset: number) => {
      const query = place === 'query' ? `?limit=1&offset=${offset}` : ''
      const body = place === 'body' ? { limit: 1, offset } : undefined
      const answer = await stage.http(method, path + query, body)
      expect(answer.status).toBe(200)
      return [answer.headers.get('x-pagination-total'), answer.headers.get('x-pagination-next')]
    }
    const [all] = await total(0)
    expect(Number(all)).toBeGreaterThanOrEqual(
      where === '/runs/crons/search' || where === '/approvals' ? 0 : 1,
    )
    expect(await total(1_000)).toEqual([all, null])
  })

  test('modes of a stream of a thread may be named one by one', async () => {
    const { thread_id: threadId } = await stage.client.threads.create()
    const opened = async (query: string) => {
      const answer = await fetch(`${stage.url}/threads/${threadId}/stream?${query}`)
      const text = answer.status === 200 ? '' : await answer.text()
      await answer.body?.cancel().catch(() => {})
      return [answer.status, text]
    }
    expect(await opened('stream_modes=lifecycle&stream_modes=state_update')).toEqual([200, ''])
    for (const name of ['stream_mode', 'stream_modes'])
      expect((await opened(`${name}=lifecycle&${name}=nonsense`))[0]).toBe(422)
  })
})

onEachDatabase((database) => {
  describe('in test mode', () => {
    const stage = useStage(database, { HOLDPOINT_CONFIG: STATES, HOLDPOINT_TEST_MODE: '1' })

    test('tables are emptied, those that are named or all, and the server goes on', async () => {
      const { threads, runs, assistants, store, crons } = stage.client
      const served = await assistants.count()
      const fill = async () => {
        const { thread_id: threadId } = await threads.create()
        await runs.wait(threadId, 'configured', { input: { trail: [] } })
        await crons.create('configured', { schedule: '0 0 1 1 *' })
        await assistants.create({ graphId: 'configured' })
        await store.putItem(['a'], 'key', { n: 1 })
        return threadId
      }
      const empty = async (body?: object) =>
        expect((await stage.http('POST', '/internal/truncate', body)).json()).toEqual({ ok: true })

      const threadId = await fill()
      await empty({ store: true })
      expect(await store.getItem(['a'], 'key')).toBe(null)
      expect(await threads.count()).toBe(1)
      await empty({ runs: true, checkpointer: true })
      expect(await runs.list(threadId)).toEqual([])
      expect(await threads.getHistory(threadId)).toEqual([])
      expect(await threads.count()).toBe(1)
      await fill()
      await empty()
      expect([await threads.count(), await crons.search({})]).toEqual([0, []])
      // The server's own are made again.
      expect(await assistants.count()).toBe(served)
      await fill()
      expect((await stage.http('POST', '/internal/truncate', { tables: true })).status).toBe(422)
    })
  })
})

onEmbedded((database) => {
  describe('what a client compares', () => {
    const stage = useStage(database, { HOLDPOINT_CONFIG: GUARDED, HOLDPOINT_ERRORS: 'json' })

    test("/info has the protocol's version and ours", async () => {
      const { version, holdpoint_version: ours } = (await stage.http('GET', '/info')).json()
      expect(version).toMatch(/^0\.\d+\.\d+$/)
      const { info } = (await stage.http('GET', '/openapi.json')).json<{ info: { version: string } }>()
      expect(ours).toBe(info.version)
    })

    test('metrics are for those who are known, as text for Prometheus or as JSON', async () => {
      const alice = { authorization: 'Bearer alice' }
      const metrics = async (query = '') => await stage.http('GET', `/metrics${query}`, undefined, alice)
      expect((await stage.http('GET', '/metrics')).status).toBe(401)
      expect((await metrics('?format=xml')).status).toBe(422)
      const { thread_id: threadId } = (await stage.http('POST', '/threads', {}, alice)).json<{
        thread_id: string
      }>()
      const before = (await metrics('?format=json')).json<Record<string, number>>()
      expect(before).toEqual({
        queue_depth: 0,
        runs_running: 0,
        workers: 1,
        approvals_pending: 0,
        webhooks_pending: 0,
        webhooks_dead: 0,
        streams_open: 0,
        rate_limited_total: 0,
      })
      const gone = new AbortController()
      await fetch(`${stage.url}/threads/${threadId}/stream`, { headers: alice, signal: gone.signal })
      const text = await metrics()
      expect(text.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
      expect(text.text).toMatch(/^# TYPE holdpoint_workers gauge\nholdpoint_workers 1$/m)
      expect(text.text).toMatch(/^holdpoint_streams_open 1$/m)
      gone.abort()
    })

    test('tables are emptied in test mode alone', async () => {
      const answer = await stage.http('POST', '/internal/truncate', {}, { authorization: 'Bearer alice' })
      expect(answer.status).toBe(404)
    })

    test('whoever wants errors as JSON gets those of handlers so, with their status and headers', async () => {
      const stranger = await stage.http('POST', '/threads', {})
      expect([stranger.status, stranger.json()]).toEqual([401, { detail: 'Who are you?' }])
      expect(stranger.headers.get('www-authenticate')).toBe('Bearer')
      expect(stranger.headers.get('content-type')).toContain('application/json')
    })

    test.each(['/\t/127.0.0.1:9/x', '/\n/evil.example/x', '//evil.example/x', '/\\evil.example'])(
      'the webhook %j is no path',
      async (webhook) => {
        const body = { assistant_id: 'echo', input: {}, webhook }
        const answer = await stage.http('POST', '/runs', body, { authorization: 'Bearer alice' })
        expect(answer.status).toBe(422)
      },
    )
  })
})
