import { Annotation, END, START, StateGraph } from '@langchain/langgraph'
import type { BaseCheckpointSaver } from '@langchain/langgraph-checkpoint'
import { expect, test } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import type { Database } from '../../../storage/database.ts'
import { createThreads } from '../../../storage/threads.ts'
import { verifyIn } from '../../../storage/verify-storage.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import { createClaimed, createThread, useStorage } from '../../support/storage.ts'

/** What goes through a thread while somebody else writes there, or begins to. */

const State = Annotation.Root({ text: Annotation<string>, list: Annotation<string[]> })

onBothDatabases((database) => {
  const storage = useStorage(database)
  const config = (threadId: string, more = {}) => ({
    configurable: { thread_id: threadId, ...more },
    durability: 'sync' as const,
  })

  // One connection has no statements between another's.
  test.skipIf(database.embedded)('a copy is of one moment of a thread that is written to', async () => {
    const threadId = await createThread(storage.mine)
    const graph = graphOf(storage.other.checkpoints.plain)
    await graph.invoke({ text: 'first '.repeat(50), list: long('first') }, config(threadId))
    let turns = 0
    const write = () => {
      const turn = `turn ${turns++} `
      return graph.invoke({ text: turn.repeat(50), list: long(turn) }, config(threadId))
    }
    const between: Database = {
      ...storage.mine.db,
      transaction: (work) =>
        storage.mine.db.transaction((client) =>
          work({
            ...client,
            async query<Row extends Record<string, unknown>>(sql: string, values?: unknown[]) {
              if (sql.includes('insert into checkpoint')) await write()
              return await client.query<Row>(sql, values)
            },
          }),
        ),
    }
    const copy = newId()
    await createThreads(between).copy(threadId, copy)
    expect(turns).toBeGreaterThan(0)
    await write()
    expect((await verifyIn(storage.mine.db)).faults).toEqual([])
    const history = await Array.fromAsync(graph.getStateHistory(config(copy)))
    const original = await Array.fromAsync(graph.getStateHistory(config(threadId)))
    const valuesOf = (states: typeof history) => states.map(({ values, tasks }) => ({ values, tasks }))
    expect(valuesOf(history)).toEqual(valuesOf(original.slice(-history.length)))
  })

  test('a copy of what is larger than a state may be is refused, and nothing of it is left', async () => {
    const { db } = storage.mine
    const threadId = await createThread(storage.mine)
    const graph = graphOf(storage.mine.checkpoints.plain)
    await graph.invoke({ text: 't'.repeat(3_000), list: long('first') }, config(threadId))
    const copy = newId()
    const strict = createThreads(db, undefined, { bytes: 2_000, over: 'error' })
    await expect(strict.copy(threadId, copy)).rejects.toMatchObject({ code: 'state_too_large' })
    expect((await db.query('select 1 from checkpoints where thread_id = $1', [copy])).rows).toEqual([])
    const wide = createThreads(db, undefined, { bytes: 4_000, over: 'error' })
    expect((await wide.copy(threadId, copy))?.thread_id).toBe(copy)
    expect((await graph.getState(config(copy))).values).toEqual(
      (await graph.getState(config(threadId))).values,
    )
  })

  test('threads in use, and what is no thread any more, keep nothing from being collected', async () => {
    const { db, threads } = storage.mine
    for (let n = 0; n < 101; n++)
      await db.query('insert into checkpoint_garbage values ($1)', [
        n < 3 ? (await createClaimed(storage.mine)).thread_id : newId(),
      ])
    const threadId = await createThread(storage.mine)
    const graph = graphOf(storage.mine.checkpoints.plain)
    for (const turn of ['one ', 'two ', 'three '])
      await graph.invoke({ text: turn.repeat(50), list: long(turn) }, config(threadId))
    await db.query(
      `delete from checkpoints where thread_id = $1 and position < (select max(position) from checkpoints)`,
      [threadId],
    )
    expect(await threads.collect()).toBeGreaterThan(0)
    expect((await verifyIn(db)).faults).toEqual([])
    expect((await graph.getState(config(threadId))).values.list).toEqual(long('three '))
  })

  test('a change by hand of a checkpoint that is pruned meanwhile is not stored', async () => {
    const threadId = await createThread(storage.mine)
    const graph = graphOf(storage.mine.checkpoints.plain)
    await graph.invoke({ text: 'one '.repeat(50), list: long('one') }, config(threadId))
    const [head, earlier] = await Array.fromAsync(graph.getStateHistory(config(threadId)))
    const id = (at: typeof head) => at?.config.configurable?.['checkpoint_id'] as string
    const draft = async (at: string) => {
      const { saver, commit } = await storage.mine.checkpoints.draft(threadId, 'somebody')
      await graphOf(saver).updateState(config(threadId, { checkpoint_id: at }), { text: 'by hand' }, 'write')
      return () => commit({ values: '{}', interrupts: {}, paused: false })
    }
    const [ofHead, ofEarlier] = [await draft(id(head)), await draft(id(earlier))]
    expect(await storage.other.threads.prune(threadId, 'keep_latest')).toBe(true)
    expect(await ofEarlier()).toBe(false)
    expect((await graph.getState(config(threadId))).config).toEqual(head?.config)
    expect(await ofHead()).toBe(true)
    expect((await graph.getState(config(threadId))).values).toEqual({ text: 'by hand', list: long('one') })
  })
})

function long(turn: string): string[] {
  return Array.from({ length: 30 }, (_, index) => `${turn}${index} ${'of a list '.repeat(10)}`)
}

function graphOf(checkpointer: BaseCheckpointSaver) {
  return new StateGraph(State)
    .addNode('write', ({ text, list }) => ({ text: `${text}written `, list: [...list] }))
    .addEdge(START, 'write')
    .addEdge('write', END)
    .compile({ checkpointer })
}
