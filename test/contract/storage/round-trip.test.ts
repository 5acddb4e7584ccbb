import { Annotation, END, START, StateGraph } from '@langchain/langgraph'
import { expect, test } from 'vitest'
import { LOCAL } from '../../../runtime/people.ts'
import { NOTHING_SHOWN } from '../../../runtime/preview.ts'
import { ONE_PERSON } from '../../../runtime/needs.ts'
import type { Json } from '../../../runtime/json.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import {
  claimOf,
  createClaimed,
  createRun,
  createThread,
  createWorker,
  endedWell,
  pausedState,
  useStorage,
} from '../../support/storage.ts'

const NUL = '\u0000'
const LONE = '\ud800'
/** What a JavaScript program may call JSON. PostgreSQL's jsonb takes all of it but the last two. */
const ORDINARY: Record<string, Json> = {
  text: 'Grüße, 你好, 🙂, "quoted", back\\slash, \\u0000 as text',
  numbers: [0, -1, 1.5, 1e21, 5e-324, Number.MAX_SAFE_INTEGER],
  nested: { empty: {}, list: [], null: null, flag: false },
  '': 'a key without a name',
  __proto: 'not a prototype',
}

onBothDatabases((database) => {
  const storage = useStorage(database)

  test('metadata comes back as it was given, and what jsonb cannot hold as U+FFFD', async () => {
    const { threads } = storage.mine
    const metadata = {
      ...ORDINARY,
      nul: `a${NUL}b`,
      lone: `a${LONE}b`,
      [`key${NUL}`]: 1,
      pair: '\ud83d\ude42',
    }
    const threadId = await createThread(storage.mine, metadata)
    const thread = await threads.get(threadId)
    expect(thread?.metadata).toEqual({
      ...ORDINARY,
      nul: 'a\ufffdb',
      lone: 'a\ufffdb',
      'key\ufffd': 1,
      pair: '🙂',
    })
    const patched = await threads.patch(threadId, { lone: `${LONE}${LONE}`, added: [NUL] })
    expect(patched?.metadata).toMatchObject({ nul: 'a\ufffdb', lone: '\ufffd\ufffd', added: ['\ufffd'] })
    const found = await threads.search({
      metadata: { nul: `a${NUL}b` },
      limit: 10,
      offset: 0,
      sort_by: 'created_at',
      sort_order: 'desc',
    })
    expect(found).toMatchObject({ total: 1, items: [{ thread_id: threadId }] })
  })

  test('dates are ISO 8601 in UTC, by the clock of the database', async () => {
    const before = await now()
    const threadId = await createThread(storage.mine)
    const thread = await storage.mine.threads.get(threadId)
    for (const field of ['created_at', 'updated_at', 'state_updated_at'] as const) {
      expect(thread?.[field]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      expect(Date.parse(thread?.[field] ?? '')).toBeGreaterThanOrEqual(before - 1)
    }
    expect(Date.parse(thread?.created_at ?? '')).toBeLessThanOrEqual(await now())
  })

  test('a request is kept to the byte, and numbers are numbers', async () => {
    const threadId = await createThread(storage.mine)
    const request = { input: { b: 1, a: [`x${NUL}${LONE}`], ...ORDINARY }, stream_subgraphs: true }
    const runId = await createRun(storage.mine, threadId, { request, metadata: { nul: NUL, ...ORDINARY } })
    const run = await claimOf(storage.mine, await createWorker(storage.mine), threadId)
    expect(run.run_id).toBe(runId)
    expect(JSON.stringify(run.kwargs.input)).toBe(JSON.stringify(request.input))
    expect(run.metadata).toEqual({ nul: '\ufffd', ...ORDINARY, graph_id: 'test' })
    expect(run).toMatchObject({ attempt: 1, lease_token: '1', cancel_action: null, tenant_id: 'default' })
    const listed = await storage.mine.runs.list(threadId, { limit: 10, offset: 0 })
    expect(listed.total).toBe(1)
    expect(JSON.stringify(listed.items[0]?.kwargs.input)).toBe(JSON.stringify(request.input))
  })

  test('events come back as they were written, numbered', async () => {
    const run = await createClaimed(storage.mine)
    const { thread_id: threadId } = run
    const data = JSON.stringify({ ...ORDINARY, nul: NUL, lone: LONE })
    const written = ['metadata', 'updates|node:é', 'values'].map((event) => ({ event, data }))
    expect(await storage.mine.events.append(run, 0, written)).toBe(true)
    const read = await storage.mine.events.read(threadId, run.run_id, -1, 10)
    expect(read).toEqual(written.map((event, seq) => ({ ...event, seq })))
    expect(await storage.mine.events.read(threadId, run.run_id, 0, 1)).toEqual([{ ...written[1], seq: 1 }])
    expect(await storage.mine.events.last(threadId, run.run_id)).toEqual({ ...written[2], seq: 2 })
  })

  test('final values, interrupts, errors and held arguments with NUL end a run like any other', async () => {
    const worker = await createWorker(storage.mine)
    const threadId = await createThread(storage.mine)
    await createRun(storage.mine, threadId)
    const state = pausedState(threadId, [{ to: 'a@example.com', body: `a${NUL}b` }])
    const values = JSON.stringify({ ...ORDINARY, nul: NUL, lone: LONE })
    const interrupts = { task: [{ id: state.interruptId, value: NUL }] }
    const run = await claimOf(storage.mine, worker, threadId)
    expect(await storage.mine.queue.settle(run, endedWell({ ...state, values, interrupts }))).toBe(true)
    expect(await storage.mine.threads.get(threadId)).toMatchObject({
      status: 'interrupted',
      values: { ...ORDINARY, nul: '\ufffd', lone: '\ufffd' },
      interrupts: { task: [{ id: state.interruptId, value: '\ufffd' }] },
    })
    const [hold] = (await storage.mine.holds.search({ thread_id: threadId, limit: 10, offset: 0 })).items
    expect(hold?.args).toEqual({ to: 'a@example.com', body: `a${NUL}b` })
    expect(hold?.args_hash).toBe(state.holds[0]?.args_hash)

    const failed = await createClaimed(storage.mine, worker)
    const { thread_id: failing } = failed
    const error = { error: 'Error', message: `no${NUL}` }
    const events = { from: 0, list: [{ event: 'error', data: JSON.stringify(error) }] }
    expect(
      await storage.mine.queue.settle(failed, { status: 'error', error, events, state: undefined }),
    ).toBe(true)
    expect(await storage.mine.threads.get(failing)).toMatchObject({
      status: 'error',
      error: { message: 'no\ufffd' },
    })
  })

  test("a decision's edited arguments and message are kept to the byte", async () => {
    const run = await createClaimed(storage.mine)
    const { thread_id: threadId } = run
    const state = pausedState(threadId, [{ body: 'x' }, { body: 'y' }])
    await storage.mine.queue.settle(run, endedWell(state))
    const [first] = state.holds
    // Arguments with half a surrogate pair have no hash, and never come here.
    const args = { body: `a${NUL}` }
    const message = `why${NUL}${LONE}`
    await storage.mine.holds.decide(first?.approval_id ?? '', { type: 'edit', args, message }, LOCAL, {
      args,
      hash: 'h',
      needs: ONE_PERSON,
      shown: NOTHING_SHOWN,
    })
    expect((await storage.mine.holds.get(first?.approval_id ?? ''))?.decisions).toMatchObject([
      { type: 'edit', args, message, by: 'local' },
    ])
  })

  test('a checkpoint keeps bytes, text with NUL and lone surrogates, and dates of a state', async () => {
    const given = {
      bytes: Uint8Array.from([0, 1, 255]),
      text: `a${NUL}${LONE}b`,
      when: '2026-01-02T03:04:05.678Z',
      data: ORDINARY,
    }
    const State = Annotation.Root({ given: Annotation<typeof given> })
    const threadId = await createThread(storage.mine)
    await createRun(storage.mine, threadId, { metadata: { label: NUL } })
    const run = await claimOf(storage.mine, await createWorker(storage.mine), threadId)
    const failures: Error[] = []
    const graph = new StateGraph(State)
      .addNode('give', () => ({ given }))
      .addEdge(START, 'give')
      .addEdge('give', END)
      .compile({ checkpointer: storage.mine.checkpoints.fenced(run, (error) => failures.push(error)).saver })
    await graph.invoke({}, { configurable: { thread_id: threadId }, durability: 'sync' })
    expect(failures).toEqual([])
    const saved = await storage.mine.checkpoints.plain.getTuple({ configurable: { thread_id: threadId } })
    const read = saved?.checkpoint.channel_values['given'] as typeof given
    expect(read).toMatchObject({ text: given.text, when: given.when, data: ORDINARY })
    expect([...read.bytes]).toEqual([0, 1, 255])
    expect(saved?.metadata).toMatchObject({ run_id: run.run_id, label: '\ufffd' })
  })

  async function now(): Promise<number> {
    const { rows } = await storage.mine.db.query<{ now: Date }>('select clock_timestamp() as now')
    return rows[0]?.now.getTime() ?? 0
  }
})
