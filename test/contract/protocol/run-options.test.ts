import { describe, expect, test } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase, onEmbedded } from '../../support/each-database.ts'
import { useStage } from '../../support/stage.ts'

const PROJECT = new URL('../../support/states/langgraph.json', import.meta.url).pathname

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT })
  const asked = async (graph: string) => {
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, graph, { input: { trail: [] } })
    return threadId
  }

  test('an answer may bring an update of the state along, which is applied once', async () => {
    const threadId = await asked('steps')
    const values = await stage.client.runs.wait(threadId, 'steps', {
      command: { resume: 'yes', update: { trail: ['along'] } },
    })
    expect(values).toEqual({ trail: ['first', 'along', 'answer: yes', 'last'] })
  })

  test('an answer may bring a goto along', async () => {
    const threadId = await asked('steps')
    const values = (await stage.client.runs.wait(threadId, 'steps', {
      command: { resume: 'yes', goto: 'last' },
    })) as unknown as { trail: string[] }
    expect(values.trail.filter((word) => word === 'answer: yes')).toHaveLength(1)
    expect(values.trail.filter((word) => word === 'last').length).toBeGreaterThan(1)
    expect((await stage.client.threads.get(threadId)).status).toBe('idle')
  })

  test('a checkpoint that is not there begins nothing, and takes nothing away', async () => {
    const threadId = await asked('steps')
    const before = (await stage.client.threads.getState(threadId)).values
    for (const id of ['nope', newId()]) {
      const body = { assistant_id: 'steps', input: { trail: ['new'] } }
      const at = [
        { ...body, checkpoint_id: id },
        { ...body, checkpoint: { checkpoint_id: id } },
        { ...body, config: { configurable: { checkpoint_id: id } } },
      ]
      for (const one of at)
        expect((await stage.http('POST', `/threads/${threadId}/runs`, one)).status).toBe(404)
      const update = { values: { trail: ['x'] }, as_node: 'last', checkpoint_id: id }
      expect((await stage.http('POST', `/threads/${threadId}/state`, update)).status).toBe(404)
    }
    expect((await stage.client.threads.getState(threadId)).values).toEqual(before)
    expect((await stage.client.threads.get(threadId)).status).toBe('interrupted')
  })

  test("an assistant's configuration says nothing of where its runs begin", async () => {
    const assistant = await stage.client.assistants.create({
      graphId: 'steps',
      config: { configurable: { checkpoint_id: newId(), thread_id: newId(), __pregel_resuming: true } },
    })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, assistant.assistant_id, { input: { trail: ['in'] } })
    const command = { resume: 'yes' }
    const values = await stage.client.runs.wait(threadId, assistant.assistant_id, { command })
    expect(values).toEqual({ trail: ['in', 'first', 'answer: yes', 'last'] })
  })

  test("a run from a subgraph's checkpoint goes on there", async () => {
    const threadId = await asked('nested')
    const state = await stage.client.threads.getState<{ trail: string[] }>(threadId, undefined, {
      subgraphs: true,
    })
    const inner = state.tasks[0]?.state
    const history = await stage.client.threads.getHistory<{ trail: string[] }>(threadId, {
      checkpoint: { checkpoint_ns: inner?.checkpoint.checkpoint_ns ?? '' },
    })
    expect(history.length).toBeGreaterThan(1)
    const { run_id } = await stage.client.runs.create(threadId, 'nested', {
      input: null,
      checkpoint: inner?.checkpoint,
    })
    await stage.client.runs.join(threadId, run_id)
    expect((await stage.client.runs.get(threadId, run_id)).status).toBe('success')
    expect((await stage.client.threads.get(threadId)).status).toBe('interrupted')
    const values = await stage.client.runs.wait(threadId, 'nested', { command: { resume: 'yes' } })
    expect(values).toMatchObject({ trail: ['before', 'answer: yes', 'last'] })
  })

  test('a rolled-back run leaves the thread as it was: its status, its question, its graph', async () => {
    const threadId = await asked('steps')
    const before = await stage.client.threads.get(threadId)
    const { run_id } = await stage.client.runs.create(threadId, 'configured', {
      input: { trail: [] },
      afterSeconds: 1_000,
    })
    expect((await stage.client.threads.get(threadId)).metadata).toMatchObject({ graph_id: 'configured' })
    await stage.client.runs.cancel(threadId, run_id, true, 'rollback')
    const { status, interrupts, metadata, values } = await stage.client.threads.get(threadId)
    expect({ status, interrupts, metadata, values }).toEqual({
      status: before.status,
      interrupts: before.interrupts,
      metadata: before.metadata,
      values: before.values,
    })
  })

  test('checkpoint_during is an older word for durability, and feedback keys stay with the run', async () => {
    const threadId = await stage.thread()
    const body = { assistant_id: 'configured', input: { trail: [] }, feedback_keys: ['score'] }
    for (const [during, durability] of [
      [true, 'async'],
      [false, 'exit'],
    ] as const) {
      const answer = await stage.http('POST', `/threads/${threadId}/runs`, {
        ...body,
        checkpoint_during: during,
      })
      const run = answer.json<{ run_id: string; kwargs: object; metadata: object }>()
      expect(run).toMatchObject({ kwargs: { durability }, metadata: { feedback_keys: ['score'] } })
      await stage.client.runs.join(threadId, run.run_id)
    }
    const [first] = await stage.client.threads.getHistory(threadId)
    expect(first?.metadata).toMatchObject({ feedback_keys: ['score'] })
  })

  test("threads have the project's time to live where they say nothing else", async () => {
    const ttlOf = async (threadId: string) =>
      ((await stage.client.threads.get(threadId, { include: ['ttl'] })) as unknown as { ttl: object | null })
        .ttl
    const usual = { strategy: 'keep_latest', ttl_minutes: 1440 }
    expect(await ttlOf(await stage.thread())).toMatchObject(usual)
    const threadId = newId()
    await stage.client.runs.wait(threadId, 'configured', { input: { trail: [] }, ifNotExists: 'create' })
    expect(await ttlOf(threadId)).toMatchObject(usual)
    const own = await stage.client.threads.create({ ttl: 5 })
    expect(await ttlOf(own.thread_id)).toMatchObject({ strategy: 'delete', ttl_minutes: 5 })
  })

  test('a list of runs sends the fields that it selects', async () => {
    const threadId = await asked('steps')
    const [run] = await stage.client.runs.list(threadId, { select: ['run_id', 'status'] })
    expect(run).toEqual({ run_id: expect.any(String), status: 'success' })
    const plain = await stage.http('GET', `/threads/${threadId}/runs?select=status`)
    expect(plain.json()).toEqual([{ status: 'success' }])
    expect((await stage.http('GET', `/threads/${threadId}/runs?select=secret`)).status).toBe(422)
  })
})

onEmbedded((database) => {
  describe('errors as JSON', () => {
    const stage = useStage(database, { HOLDPOINT_ERRORS: 'json' })

    test('every refusal has a detail, as the official description says', async () => {
      for (const [method, path, body, status] of [
        ['GET', '/threads/00000000-0000-4000-8000-000000000000', undefined, 404],
        ['GET', '/threads/no-uuid', undefined, 422],
        ['POST', '/threads', '{not json', 400],
        ['GET', '/nowhere', undefined, 404],
      ] as const) {
        const answer = await stage.http(method, path, body)
        expect([answer.status, answer.json()], path).toEqual([status, { detail: expect.any(String) }])
      }
      const foreign = await stage.http('POST', '/threads', {}, { origin: 'https://evil.example' })
      expect([foreign.status, foreign.json()]).toEqual([403, { detail: expect.stringContaining('Origin') }])
    })
  })
})
