import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { AIMessage, HumanMessage } from '@langchain/core/messages'
import { Command, END, interrupt, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import type { BaseCheckpointSaver } from '@langchain/langgraph-checkpoint'
import { expect, test, vi } from 'vitest'
import { verifyIn } from '../../../storage/verify-storage.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import {
  claimOf,
  createRun,
  createThread,
  createWorker,
  endedWell,
  useStorage,
} from '../../support/storage.ts'

const THREADS = 3
const TURNS = 4

onBothDatabases((database) => {
  const storage = useStorage(database)

  test(
    'whatever is pruned while threads go on, nothing that they need is lost, and room is won',
    { timeout: 60_000 },
    async () => {
      const threads = await Promise.all(Array.from({ length: THREADS }, () => createThread(storage.mine)))
      let over = false
      const pruner = (async () => {
        for (let round = 0; !over; round++) {
          for (const threadId of threads) {
            const keep = [{}, { last: 3 }, { since: new Date(Date.now() - 50) }][round % 3]
            await storage.other.threads.prune(threadId, 'keep_latest', { keep })
          }
          await storage.other.threads.collect()
          // The embedded database answers without letting anybody else come to their turn.
          await pause(5)
        }
      })()
      try {
        for (const threadId of threads) await converse(threadId)
      } finally {
        over = true
        await pruner
      }
      const heads = await Promise.all(threads.map(stateOf))
      for (const threadId of threads)
        expect(await storage.mine.threads.prune(threadId, 'keep_latest')).toBe(true)
      await storage.mine.threads.collect()
      expect(await Promise.all(threads.map(stateOf))).toEqual(heads)
      const whole = await createThread(storage.mine)
      await converse(whole)
      const bytes = await bytesOf(whole)
      for (const threadId of threads) expect(await bytesOf(threadId)).toBeLessThan(bytes / 2)
      expect((await verifyIn(storage.mine.db)).faults).toEqual([])
      const { rows } = await storage.mine.db.query('select 1 from checkpoint_garbage')
      expect(rows).toEqual([])
    },
  )

  test('so many of the last states are kept as were asked for, and each as it was', async () => {
    const threadId = await createThread(storage.mine)
    for (let turn = 0; turn < 4; turn++) await converseOnce(threadId, turn, [])
    const before = await historyOf(threadId)
    expect(await storage.mine.threads.prune(threadId, 'keep_latest', { keep: { last: 5 } })).toBe(true)
    const left = await historyOf(threadId)
    expect(left.map(({ values }) => values)).toEqual(before.slice(0, 5).map(({ values }) => values))
    expect(left.map(({ tasks }) => tasks)).toEqual(before.slice(0, 5).map(({ tasks }) => tasks))
    expect(left.at(-1)?.parentConfig).toBeUndefined()
    const since = new Date(left[2]?.createdAt ?? '')
    expect(await storage.mine.threads.prune(threadId, 'keep_latest', { keep: { since } })).toBe(true)
    expect((await historyOf(threadId)).map(({ config }) => config)).toEqual(
      // Those of the same millisecond as well.
      left.filter(({ createdAt }) => new Date(createdAt ?? '') >= since).map(({ config }) => config),
    )
    expect((await verifyIn(storage.mine.db)).faults).toEqual([])
  })

  test('what a run that was rolled back leaves is collected, and nothing of a thread with a running run', async () => {
    const threadId = await createThread(storage.mine)
    await converseOnce(threadId, 0, [])
    const [{ threads, queue }, kept] = [storage.mine, await chunksOf(threadId)]
    await createRun(storage.mine, threadId)
    const run = await claimOf(storage.mine, await createWorker(storage.mine), threadId)
    const { saver } = storage.mine.checkpoints.fenced(run, () => {})
    await graphOf(saver).invoke({ messages: [said(1, 'm'.repeat(500))] }, config(threadId))
    await storage.mine.db.query('insert into checkpoint_garbage values ($1)', [threadId])
    expect(await threads.collect()).toBe(0)
    expect(await chunksOf(threadId)).toBeGreaterThan(kept)
    await queue.settle(run, { status: 'rolled_back' })
    expect(await threads.collect()).toBeGreaterThan(0)
    expect(await chunksOf(threadId)).toBe(kept)
    expect((await verifyIn(storage.mine.db)).faults).toEqual([])
  })

  /** Turns, answers, forks and changes by hand; after each the thread is as it was told. */
  async function converse(threadId: string): Promise<void> {
    const texts: string[] = []
    for (let turn = 0; turn < TURNS; turn++) {
      await converseOnce(threadId, turn, texts)
      expect((await stateOf(threadId)).texts).toEqual(texts)
      if (turn % 2 === 0) continue
      const draft = await storage.mine.checkpoints.draft(threadId, 'somebody')
      const text = `by hand ${turn} ${'h'.repeat(100)}`
      await graphOf(draft.saver).updateState(config(threadId), { messages: [said(turn, text)] }, 'think')
      // Nothing but a pruning comes between, and that leaves the latest state alone.
      expect(await draft.commit({ values: '{}', interrupts: {}, paused: false })).toBe(true)
      texts.push(text)
      expect((await stateOf(threadId)).texts).toEqual(texts)
    }
  }

  async function converseOnce(threadId: string, turn: number, texts: string[]): Promise<void> {
    const text = `turn ${turn} ${'t'.repeat(200)}`
    await running(threadId, (saver) =>
      graphOf(saver).invoke({ messages: [said(turn, text)] }, config(threadId)),
    )
    const { tasks } = await graphOf(storage.mine.checkpoints.plain).getState(config(threadId))
    const id = tasks[0]?.interrupts[0]?.id ?? ''
    const resume = new Command<unknown, Record<string, unknown>, 'think' | 'ask'>({
      resume: { [id]: `answer ${turn} ${'a'.repeat(100)}` },
    })
    await running(threadId, (saver) => graphOf(saver).invoke(resume, config(threadId)))
    texts.push(text, 'thought '.repeat(20), `answer ${turn} ${'a'.repeat(100)}`)
  }

  async function running<T>(threadId: string, work: (saver: BaseCheckpointSaver) => Promise<T>): Promise<T> {
    await createRun(storage.mine, threadId)
    const worker = await createWorker(storage.mine)
    // Whoever prunes it holds the thread's lock for a moment, and claims pass it by.
    const run = await vi.waitFor(() => claimOf(storage.mine, worker, threadId), 5_000)
    const { saver } = storage.mine.checkpoints.fenced(run, (error) => {
      throw error
    })
    const done = await work(saver)
    const { tasks } = await graphOf(saver).getState(config(threadId))
    const interrupts = Object.fromEntries(tasks.map((task) => [task.id, task.interrupts as never]))
    const paused = tasks.some((task) => task.interrupts.length > 0)
    const state = {
      values: '{}',
      interrupts: paused ? interrupts : {},
      holds: [],
      waiting: [],
      paused,
      complete: true,
    }
    await storage.mine.queue.settle(run, endedWell(state))
    return done
  }

  async function stateOf(threadId: string) {
    const { values, next } = await graphOf(storage.mine.checkpoints.plain).getState(config(threadId))
    const { messages } = values as typeof MessagesAnnotation.State
    return { next, texts: messages.map(({ content }) => content) }
  }

  async function historyOf(threadId: string) {
    return await Array.fromAsync(graphOf(storage.mine.checkpoints.plain).getStateHistory(config(threadId)))
  }

  async function bytesOf(threadId: string): Promise<number> {
    const { checkpoints, channels, writes } = await storage.mine.threads.storage(threadId)
    return checkpoints + writes + Object.values(channels).reduce((sum, bytes) => sum + bytes, 0)
  }

  async function chunksOf(threadId: string): Promise<number> {
    const { rows } = await storage.mine.db.query<{ n: number }>(
      'select count(*)::integer as n from checkpoint_chunks where thread_id = $1',
      [threadId],
    )
    return rows[0]?.n ?? 0
  }
})

const config = (threadId: string) => ({ configurable: { thread_id: threadId }, durability: 'sync' as const })

function said(turn: number, content: string) {
  return new HumanMessage({ id: `said-${turn}-${randomUUID()}`, content })
}

function graphOf(checkpointer: BaseCheckpointSaver) {
  return new StateGraph(MessagesAnnotation)
    .addNode('think', () => ({
      messages: [new AIMessage({ id: randomUUID(), content: 'thought '.repeat(20) })],
    }))
    .addNode('ask', () => ({
      messages: [new AIMessage({ id: randomUUID(), content: interrupt<string, string>('well?') })],
    }))
    .addEdge(START, 'think')
    .addEdge('think', 'ask')
    .addEdge('ask', END)
    .compile({ checkpointer })
}
