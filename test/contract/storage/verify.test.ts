import { emptyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint'
import { expect, test } from 'vitest'
import { verifyIn } from '../../../storage/verify-storage.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { createThread, useStorage } from '../../support/storage.ts'

onEachDatabase((database) => {
  const storage = useStorage(database)

  test('a part of a state that is missing is found, and one that was changed', async () => {
    const { db } = storage.mine
    const threadId = await createThread(storage.mine)
    await put(threadId)
    const sound = await verifyIn(db)
    expect(sound.chunks).toBeGreaterThan(60)
    expect(sound.faults).toEqual([])

    await db.query(`update checkpoint_chunks set body = '"other"' where body like '"element 7 %'`)
    expect((await verifyIn(db)).faults).toEqual([
      expect.stringMatching(new RegExp(`^thread ${threadId}: chunk .* is not what it was$`)),
    ])
    await db.query(`delete from checkpoint_chunks where body = '"other"'`)
    expect((await verifyIn(db)).faults).toEqual([
      expect.stringMatching(new RegExp(`^thread ${threadId}: page .* needs chunk .*, which is not there$`)),
    ])
    await db.query('delete from checkpoint_chunks where refs is not null')
    const { faults } = await verifyIn(db)
    expect(faults.length).toBeGreaterThan(0)
    for (const fault of faults) expect(fault).toMatch(/: checkpoint .* needs chunk .*, which is not there$/)
    await expect(
      storage.mine.checkpoints.plain.getTuple({ configurable: { thread_id: threadId } }),
    ).rejects.toThrow(/needs chunk .*, which is not there. Run "holdpoint storage verify"/)
  })

  async function put(threadId: string): Promise<void> {
    const list = Array.from({ length: 60 }, (_, index) => `element ${index} ${'of a list '.repeat(8)}`)
    const checkpoint = {
      ...emptyCheckpoint(),
      id: uuid6(0),
      channel_values: { list },
      channel_versions: { list: 1 },
    }
    const metadata = { source: 'loop' as const, step: 0, parents: {} }
    const place = { configurable: { thread_id: threadId, checkpoint_ns: '' } }
    await storage.mine.checkpoints.plain.put(place, checkpoint, metadata, { list: 1 })
  }
})
