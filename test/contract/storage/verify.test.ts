import { emptyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint'
import { expect, test } from 'vitest'
import { checkStorage } from '../../../chaos/checks/storage.ts'
import { verifyIn } from '../../../storage/verify-storage.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import { createThread, useStorage } from '../../support/storage.ts'

onBothDatabases((database) => {
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

  test('a chaos run that loses a part of a state is not a good one', async () => {
    const { db } = storage.mine
    await put(await createThread(storage.mine))
    const check = () =>
      checkStorage({
        query: async <Row>(sql: string, values?: unknown[]) => (await db.query(sql, values)).rows as Row[],
      })
    expect((await check()).map(({ ok }) => ok)).toEqual([true, true])
    await db.query(`delete from checkpoint_chunks where body like '"element 7 %'`)
    expect((await check()).map(({ ok, found }) => [ok, found]).at(-1)).toEqual([false, '1'])
  })

  test('large parts are looked at a few at a time, and each once', async () => {
    const { db } = storage.mine
    const threadId = await createThread(storage.mine)
    const plain = storage.mine.checkpoints.plain
    const list = Array.from({ length: 12 }, (_, index) => String(index).repeat(3_000_000))
    const checkpoint = {
      ...emptyCheckpoint(),
      id: uuid6(0),
      channel_values: { list },
      channel_versions: { list: 1 },
    }
    const place = { configurable: { thread_id: threadId, checkpoint_ns: '' } }
    await plain.put(place, checkpoint, { source: 'loop', step: 0, parents: {} }, { list: 1 })
    const sizes: number[] = []
    const { rows } = await db.query<{ n: number }>('select count(*)::integer as n from checkpoint_chunks')
    const verified = await verifyIn({
      ...db,
      query: async <Row extends Record<string, unknown>>(sql: string, values?: unknown[]) => {
        const found = await db.query<Row>(sql, values)
        sizes.push(
          found.rows.reduce((sum, { body }) => sum + (typeof body === 'string' ? body.length : 0), 0),
        )
        return found
      },
    })
    expect(verified).toEqual({ chunks: rows[0]?.n, faults: [] })
    expect(Math.max(...sizes)).toBeLessThan(16_000_000)
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
