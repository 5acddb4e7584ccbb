import { AIMessage, type BaseMessage, HumanMessage } from '@langchain/core/messages'
import { Annotation, DeltaChannel, END, START, StateGraph } from '@langchain/langgraph'
import { type BaseCheckpointSaver, MemorySaver } from '@langchain/langgraph-checkpoint'
import { expect, test } from 'vitest'
import { verifyIn } from '../../../storage/verify-storage.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import { secretAt, useStorage, createThread, watchedPorts } from '../../support/storage.ts'

const TURNS = 12

onBothDatabases((database) => {
  const storage = useStorage(database)

  test('a list that is stored as its changes reads as MemorySaver reads it, and is left whole by pruning', async () => {
    const threadId = await createThread(storage.mine)
    const memory = new MemorySaver()
    const { plain } = storage.mine.checkpoints
    for (let turn = 0; turn < TURNS; turn++)
      for (const saver of [memory, plain])
        await graphOf(saver).invoke(
          { messages: [new HumanMessage({ id: `h${turn}`, content: `turn ${turn}` })] },
          at(threadId),
        )
    const expected = await textsOf(memory, threadId)
    expect(expected.at(0)).toHaveLength(2 * TURNS)
    expect(await textsOf(plain, threadId)).toEqual(expected)

    const statements: string[] = []
    const secret = await secretAt(database.place)
    const watched = await watchedPorts(storage.mine.db, secret, (sql) => statements.push(sql))
    await watched.checkpoints.plain.getDeltaChannelHistory({ config: at(threadId), channels: ['messages'] })
    expect(statements).toHaveLength(1)

    expect(await storage.mine.threads.prune(threadId, 'keep_latest')).toBe(true)
    await storage.mine.threads.collect()
    const { values } = await graphOf(plain).getState(at(threadId))
    expect((values as Of).messages.map(({ content }) => content)).toEqual(expected[0])
    expect((await textsOf(plain, threadId)).length).toBeLessThan(expected.length)
    expect((await verifyIn(storage.mine.db)).faults).toEqual([])
  })

  const at = (threadId: string) => ({ configurable: { thread_id: threadId }, durability: 'sync' as const })

  async function textsOf(saver: BaseCheckpointSaver, threadId: string): Promise<unknown[][]> {
    const history = await Array.fromAsync(graphOf(saver).getStateHistory(at(threadId)))
    return history.map(({ values }) => ((values as Partial<Of>).messages ?? []).map(({ content }) => content))
  }
})

interface Of {
  messages: BaseMessage[]
}

const State = Annotation.Root({
  messages: () =>
    new DeltaChannel<BaseMessage[], BaseMessage[]>((list, writes) => [...list, ...writes.flat()], {
      snapshotFrequency: 5,
      initialValueFactory: () => [],
    }),
})

function graphOf(checkpointer: BaseCheckpointSaver) {
  return new StateGraph(State)
    .addNode('say', ({ messages }) => ({
      messages: [new AIMessage({ id: `a${messages.length}`, content: 'word '.repeat(40) })],
    }))
    .addEdge(START, 'say')
    .addEdge('say', END)
    .compile({ checkpointer })
}
