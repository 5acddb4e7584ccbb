import { AIMessage, HumanMessage } from '@langchain/core/messages'
import { Command, END, interrupt, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import type { BaseCheckpointSaver } from '@langchain/langgraph-checkpoint'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import { expect, test } from 'vitest'
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

onBothDatabases((database) => {
  const storage = useStorage(database)

  test('a thread of PostgresSaver reads as there, and goes on with numbers for versions', async () => {
    const threadId = await createThread(storage.mine)
    const config = { configurable: { thread_id: threadId }, durability: 'sync' as const }
    const stock = new PostgresSaver(storage.mine.db.pool)
    await graphOf(stock).invoke({ messages: [said('one')] }, config)
    await graphOf(stock).invoke(answer(await pausedAt(stock, threadId), 'first'), config)
    await graphOf(stock).invoke({ messages: [said('two')] }, config)
    const before = await historyOf(stock, threadId)
    expect(await historyOf(storage.mine.checkpoints.plain, threadId)).toEqual(before)

    // It waits for an answer, which is given here.
    const resume = answer(await pausedAt(storage.mine.checkpoints.plain, threadId), 'second')
    const head = await running(threadId, (saver) => graphOf(saver).invoke(resume, config))
    expect(head.messages.map(({ content }) => content)).toEqual(['one', 'first', 'two', 'second'])
    const after = await historyOf(storage.mine.checkpoints.plain, threadId)
    expect(after.slice(-before.length).map(({ values }) => values)).toEqual(
      before.map(({ values }) => values),
    )
    await running(threadId, (saver) => graphOf(saver).invoke({ messages: [said('three')] }, config))

    const versions = await versionsOf(threadId)
    expect(versions.length).toBeGreaterThan(0)
    expect(versions.every((version) => typeof version === 'number')).toBe(true)
    const fresh = await createThread(storage.mine)
    const other = { ...config, configurable: { thread_id: fresh } }
    await running(fresh, (saver) => graphOf(saver).invoke({ messages: [said('one')] }, other))
    expect((await versionsOf(fresh)).every((version) => typeof version === 'string')).toBe(true)
    expect((await verifyIn(storage.mine.db)).faults).toEqual([])
  })

  test('a thread with the longer versions of before goes on with them', async () => {
    const threadId = await createThread(storage.mine)
    const longer = `${'5'.padStart(16, '0')}.0123456789abcdef`
    const next = String(storage.mine.checkpoints.plain.getNextVersion(longer as unknown as number))
    expect(next).toMatch(/^0000000000000006\.[0-9a-v]{8}$/)
    expect(next > longer).toBe(true)
    const { plain } = storage.mine.checkpoints
    const checkpoint = {
      v: 4,
      id: '1f0c0000-0000-6000-8000-000000000000',
      ts: new Date(0).toISOString(),
      channel_values: { a: 1, b: 2, c: 3 },
      channel_versions: { a: longer, b: next, c: plain.getNextVersion(undefined) } as Record<
        string,
        string | number
      >,
      versions_seen: { node: { a: longer } },
    }
    const metadata = { source: 'loop' as const, step: 0, parents: {} }
    await plain.put(
      { configurable: { thread_id: threadId, checkpoint_ns: '' } },
      checkpoint,
      metadata,
      checkpoint.channel_versions,
    )
    expect((await plain.getTuple({ configurable: { thread_id: threadId } }))?.checkpoint).toEqual(checkpoint)
  })

  function graphOf(checkpointer: BaseCheckpointSaver) {
    return new StateGraph(MessagesAnnotation)
      .addNode('ask', () => ({ messages: [new AIMessage(interrupt<string, string>('well?'))] }))
      .addEdge(START, 'ask')
      .addEdge('ask', END)
      .compile({ checkpointer })
  }

  function said(content: string) {
    return new HumanMessage({ id: `said ${content}`, content })
  }

  async function pausedAt(saver: BaseCheckpointSaver, threadId: string): Promise<string> {
    const { tasks } = await graphOf(saver).getState({ configurable: { thread_id: threadId } })
    return tasks[0]?.interrupts[0]?.id ?? ''
  }

  function answer(id: string, text: string) {
    return new Command<unknown, Record<string, unknown>, 'ask'>({ resume: { [id]: text } })
  }

  async function historyOf(saver: BaseCheckpointSaver, threadId: string) {
    return await Array.fromAsync(graphOf(saver).getStateHistory({ configurable: { thread_id: threadId } }))
  }

  async function versionsOf(threadId: string): Promise<unknown[]> {
    const configurable = { thread_id: threadId }
    const tuple = await storage.mine.checkpoints.plain.getTuple({ configurable })
    return Object.values(tuple?.checkpoint.channel_versions ?? {})
  }

  async function running<T>(threadId: string, work: (saver: BaseCheckpointSaver) => Promise<T>): Promise<T> {
    await createRun(storage.mine, threadId)
    const run = await claimOf(storage.mine, await createWorker(storage.mine), threadId)
    const { saver } = storage.mine.checkpoints.fenced(run, (error) => {
      throw error
    })
    const done = await work(saver)
    await storage.mine.queue.settle(run, endedWell())
    return done
  }
})
