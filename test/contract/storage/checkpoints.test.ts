import { Annotation, Command, END, interrupt, START, StateGraph } from '@langchain/langgraph'
import { expect, test, vi } from 'vitest'
import { systemAssistantId } from '../../../runtime/assistant.ts'
import { newId } from '../../../runtime/ids.ts'
import type { ClaimedRun } from '../../../runtime/run.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import {
  claimOf,
  createRun,
  createThread,
  createWorker,
  endedWell,
  secretAt,
  untilBlocked,
  useStorage,
  watchedPorts,
} from '../../support/storage.ts'

const HOUR_MS = 3_600_000

const State = Annotation.Root({
  count: Annotation<number>({ reducer: (sum, added) => sum + added, default: () => 0 }),
  writer: Annotation<string>,
})

onBothDatabases((database) => {
  const storage = useStorage(database)

  test('a fork reads what it wrote itself, and leaves the branch that it forked from as it was', async () => {
    const threadId = await createThread(storage.mine)
    const trunk = await runGraph(threadId, 'trunk')
    const before = trunk.history.find(({ next }) => next.includes('second'))?.config
    expect(before).toBeDefined()
    // The stock saver numbers versions 1, 2, 3: both branches write "version 3" of the same channel.
    const fork = await runGraph(threadId, 'fork', before?.configurable?.['checkpoint_id'])
    expect(fork.head.values).toEqual({ count: 111, writer: 'second of fork' })
    const other = await runGraph(threadId, 'other', before?.configurable?.['checkpoint_id'])
    expect(other.head.values).toEqual({ count: 111, writer: 'second of other' })

    const values = async (config: object | undefined) =>
      (await graphOf('reader').getState(config ?? {})).values
    expect(await values(trunk.head.config)).toEqual({ count: 111, writer: 'second of trunk' })
    expect(await values(fork.head.config)).toEqual({ count: 111, writer: 'second of fork' })
    expect(await values(other.head.config)).toEqual({ count: 111, writer: 'second of other' })
  })

  test('a second run of a thread goes on from the first, and versions sort by time', async () => {
    const threadId = await createThread(storage.mine)
    await runGraph(threadId, 'one')
    const { head } = await runGraph(threadId, 'two')
    expect(head.values).toEqual({ count: 222, writer: 'second of two' })
    const saver = storage.mine.checkpoints.plain
    let version: string | number | undefined
    for (let n = 0; n < 12; n++) {
      const next: string | number = saver.getNextVersion(version as number)
      if (version !== undefined) expect(String(next) > String(version)).toBe(true)
      version = next
    }
    expect(saver.getNextVersion(undefined)).not.toBe(saver.getNextVersion(undefined))
  })

  test('a thread goes on from what was stored last, whatever the clocks of its servers say', async () => {
    const threadId = await createThread(storage.mine)
    const clock = vi
      .spyOn(Date, 'now')
      .mockImplementation(() => performance.timeOrigin + performance.now() + 5 * HOUR_MS)
    await runGraph(threadId, 'fast clock')
    clock.mockRestore()
    const { head, history, run } = await runGraph(threadId, 'right clock')
    expect(head.values).toEqual({ count: 222, writer: 'second of right clock' })
    expect(history[0]?.config).toEqual(head.config)
    expect(history.map(({ metadata }) => metadata?.step)).toEqual(
      history.map((_, index) => history.length - 2 - index),
    )
    expect(await storage.mine.checkpoints.headRunId(threadId)).toBe(run.run_id)
    const before = history[2]?.config
    const earlier = await Array.fromAsync(
      graphOf('reader').getStateHistory(config(threadId), before ? { before } : {}),
    )
    expect(earlier).toEqual(history.slice(3))
  })

  test('rolling a run back removes it, its events and its checkpoints, and nothing of earlier runs', async () => {
    const { mine } = storage
    const threadId = await createThread(mine)
    const first = await runGraph(threadId, 'first')
    await createRun(mine, threadId)
    const run = await claim(threadId)
    await graphOf('second', run).invoke({ count: 100 }, config(threadId))
    await mine.events.append(run, 0, [{ event: 'values', data: '{}' }])
    expect((await historyOf(threadId)).length).toBeGreaterThan(first.history.length)

    expect(await mine.queue.settle(run, { status: 'rolled_back' })).toBe(true)
    expect(await mine.runs.get(threadId, run.run_id)).toBeUndefined()
    expect(await mine.events.read(threadId, run.run_id, -1, 10)).toEqual([])
    expect(await historyOf(threadId)).toEqual(first.history)
    expect(await mine.checkpoints.headRunId(threadId)).toBe(first.run.run_id)
    expect(await mine.threads.get(threadId)).toMatchObject({ status: 'idle' })
    expect((await runGraph(threadId, 'third')).head.values).toEqual({ count: 222, writer: 'second of third' })
  })

  test('a rolled back answer leaves the question open, and another answer is the one that counts', async () => {
    const { mine } = storage
    const threadId = await createThread(mine)
    const ask = (run: ClaimedRun) =>
      new StateGraph(State)
        .addNode('ask', () => ({ writer: interrupt<string, string>('who?') }))
        .addNode('then', () => ({ count: 1 }))
        .addEdge(START, 'ask')
        .addEdge('ask', 'then')
        .addEdge('then', END)
        .compile({ checkpointer: fenced(run) })
    await createRun(mine, threadId)
    const first = await claim(threadId)
    await ask(first).invoke({}, config(threadId))
    await mine.queue.settle(first, endedWell())
    const [waiting] = (await ask(first).getState(config(threadId))).tasks
    const id = waiting?.interrupts[0]?.id ?? ''

    await createRun(mine, threadId)
    const second = await claim(threadId)
    await ask(second).invoke(new Command({ resume: { [id]: 'the first answer' } }), config(threadId))
    await mine.queue.settle(second, { status: 'rolled_back' })

    await createRun(mine, threadId)
    const third = await claim(threadId)
    await ask(third).invoke(new Command({ resume: { [id]: 'the second answer' } }), config(threadId))
    expect((await ask(third).getState(config(threadId))).values).toEqual({
      count: 1,
      writer: 'the second answer',
    })
  })

  test.skipIf(database.embedded)(
    'a change by hand that waited for a run to be created finds that run',
    async () => {
      const { mine, other } = storage
      const threadId = await createThread(mine)
      await mine.assistants.ensureSystem([{ graph_id: 'test', description: null }])
      const draft = await other.checkpoints.draft(threadId, 'somebody')
      let refused: Promise<unknown> | undefined
      await mine.db.transaction(async (client) => {
        await client.query('select from threads where thread_id = $1 for update', [threadId])
        refused = draft
          .commit({ values: '{}', interrupts: {}, paused: false })
          .catch((error: unknown) => error)
        await untilBlocked(mine)
        await client.query(
          `insert into runs (thread_id, run_id, assistant_id, request, metadata, multitask_strategy)
          values ($1, $2, $3, '{}', '{}', 'enqueue')`,
          [threadId, newId(), systemAssistantId('test')],
        )
      })
      expect(await refused).toMatchObject({ code: 'thread_busy' })
    },
  )

  test('a long history is a query for each page of it, as far as somebody reads', async () => {
    const threadId = await createThread(storage.mine)
    for (let run = 0; run < 15; run++) await runGraph(threadId, `${run} ${'w'.repeat(80)}`)
    const asked: string[] = []
    const watched = await watchedPorts(storage.mine.db, await secretAt(database.place), (sql) =>
      asked.push(sql),
    )
    const list = (limit?: number) =>
      watched.checkpoints.plain.list(config(threadId), limit === undefined ? {} : { limit })

    const all = await Array.fromAsync(list())
    expect(all.length).toBeGreaterThan(50)
    expect(asked.length).toBe(1 + Math.ceil(all.length / 25))
    const single = await Promise.all(
      all.map((tuple) => storage.mine.checkpoints.plain.getTuple(tuple.config)),
    )
    expect(all).toEqual(single)
    expect(await Array.fromAsync(list(30))).toEqual(all.slice(0, 30))
    asked.length = 0
    for await (const tuple of list()) if (tuple.checkpoint.id === all[3]?.checkpoint.id) break
    expect(asked.length).toBe(2)
  })

  test('deleting a thread removes its checkpoints, and only its own', async () => {
    const kept = await createThread(storage.mine)
    const gone = await createThread(storage.mine)
    await runGraph(kept, 'kept'.repeat(50))
    await runGraph(gone, 'gone'.repeat(50))
    expect(await storage.mine.threads.delete(gone)).toBe(true)
    for (const table of ['checkpoints', 'checkpoint_writes', 'checkpoint_chunks']) {
      const { rows } = await storage.mine.db.query(`select distinct thread_id::text from ${table}`)
      expect(rows).toEqual([{ thread_id: kept }])
    }
  })

  /** Two nodes; what they write names the run. */
  async function runGraph(threadId: string, name: string, checkpointId?: string) {
    await createRun(storage.mine, threadId)
    const run = await claim(threadId)
    const graph = graphOf(name, run)
    await graph.invoke(checkpointId === undefined ? { count: 100 } : null, config(threadId, checkpointId))
    await storage.mine.queue.settle(run, endedWell())
    return { run, head: await graph.getState(config(threadId)), history: await historyOf(threadId) }
  }

  function graphOf(name: string, run?: ClaimedRun) {
    return new StateGraph(State)
      .addNode('first', () => ({ count: 1, writer: `first of ${name}` }))
      .addNode('second', () => ({ count: 10, writer: `second of ${name}` }))
      .addEdge(START, 'first')
      .addEdge('first', 'second')
      .addEdge('second', END)
      .compile({ checkpointer: run ? fenced(run) : storage.mine.checkpoints.plain })
  }

  function fenced(run: ClaimedRun) {
    return storage.mine.checkpoints.fenced(run, (error) => {
      throw error
    }).saver
  }

  async function claim(threadId: string): Promise<ClaimedRun> {
    return await claimOf(storage.mine, await createWorker(storage.mine), threadId)
  }

  function config(threadId: string, checkpointId?: string) {
    const at = checkpointId === undefined ? {} : { checkpoint_id: checkpointId }
    return { configurable: { thread_id: threadId, ...at }, durability: 'sync' as const }
  }

  async function historyOf(threadId: string) {
    return await Array.fromAsync(graphOf('reader').getStateHistory(config(threadId)))
  }
})
