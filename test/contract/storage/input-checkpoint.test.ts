import { setImmediate } from 'node:timers/promises'
import { emptyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint'
import { expect, test } from 'vitest'
import type { FencedSaver } from '../../../runtime/checkpoints.ts'
import { LeaseLost } from '../../../runtime/lease.ts'
import type { ClaimedRun } from '../../../runtime/run.ts'
import { createCheckpoints } from '../../../storage/checkpoints.ts'
import type { Database } from '../../../storage/database.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import { moment } from '../../support/stage.ts'
import { createClaimed, useStorage } from '../../support/storage.ts'

/** What a run's first steps have in common, long enough to be a chunk that the second checkpoint refers to. */
const INPUT = 'x'.repeat(5_000)

onBothDatabases((database) => {
  const storage = useStorage(database)

  test('what comes after the checkpoint of the input is sent when that one is stored, however long it takes', async () => {
    const run = await createClaimed(storage.mine)
    const late = moment()
    const asked = moment()
    const { saver, failures, journal } = fenced(run, async (send) => {
      asked.reach()
      await late.reached
      return await send()
    })
    const input = await put(saver, run, 'input')
    // Sent by the clock, while nothing else is there to travel with.
    await asked.reached
    const step = put(saver, run, 'loop', input)
    const wrote = saver.putWrites(input, [['channel', 1]], 'task')
    // Nothing else than the event loop is between a put and its statement.
    for (let turn = 0; turn < 50; turn++) await setImmediate()
    late.reach()
    await Promise.all([step, wrote])
    expect(journal.slice(0, 3)).toEqual(['sent', 'stored', 'sent'])
    expect(await storedIds(run)).toEqual([idOf(input), idOf(await step)])
    const tuple = await storage.other.checkpoints.plain.getTuple(head(run))
    expect(tuple?.checkpoint.channel_values).toEqual({ channel: INPUT })
    expect(failures).toEqual([])
  })

  test('where the checkpoint of the input cannot be stored nothing that comes after it is', async () => {
    const run = await createClaimed(storage.mine)
    const { saver, failures } = fenced(run, () => Promise.reject(new Error('The disk is full.')))
    const input = await put(saver, run, 'input')
    await saver.putWrites(input, [['channel', 1]], 'task')
    await put(saver, run, 'loop', input)
    expect(await storedIds(run)).toEqual([])
    expect(failures.map(({ message }) => message)).toEqual(['The disk is full.'])
    await expect(storage.mine.db.query('select * from checkpoint_writes')).resolves.toMatchObject({
      rows: [],
    })
  })

  test('where the lease is lost before the checkpoint of the input is sent nothing is stored', async () => {
    const run = await createClaimed(storage.mine)
    const { saver, failures } = fenced(run, async (send) => {
      await storage.mine.db.query('update runs set lease_token = lease_token + 1 where run_id = $1', [
        run.run_id,
      ])
      console.log('GO')
      return await send()
    })
    const input = await put(saver, run, 'input')
    await put(saver, run, 'loop', input)
    expect(await storedIds(run)).toEqual([])
    expect(failures).toEqual([new LeaseLost(run.run_id)])
  })

  test('a history that is read meanwhile has the checkpoint of the input', async () => {
    const run = await createClaimed(storage.mine)
    const { saver } = fenced(run, (send) => send())
    const input = await put(saver, run, 'input')
    const listed = []
    for await (const { checkpoint } of saver.list(head(run))) listed.push(checkpoint.id)
    expect(listed).toEqual([idOf(input)])
  })

  /** The run's saver over a database whose first checkpoint is sent when and if `first` does. */
  function fenced(run: ClaimedRun, first: <T>(send: () => Promise<T>) => Promise<T>) {
    const { db } = storage.mine
    const journal: ('sent' | 'stored')[] = []
    const slow: Database = {
      ...db,
      async query(text, values) {
        if (!text.includes('insert into checkpoint')) return await db.query(text, values)
        journal.push('sent')
        const send = () => db.query(text, values)
        const result = await (journal.length === 1 ? first(send) : send())
        journal.push('stored')
        return result as never
      },
    }
    const failures: Error[] = []
    const { saver } = createCheckpoints(slow).fenced(run, (error) => failures.push(error))
    return { saver, failures, journal }
  }

  async function storedIds({ thread_id: threadId }: ClaimedRun): Promise<string[]> {
    const sql = 'select checkpoint_id from checkpoints where thread_id = $1 order by position'
    const { rows } = await storage.mine.db.query<{ checkpoint_id: string }>(sql, [threadId])
    return rows.map(({ checkpoint_id: id }) => id)
  }
})

type Config = Awaited<ReturnType<FencedSaver['saver']['put']>>

function head({ thread_id }: ClaimedRun) {
  return { configurable: { thread_id, checkpoint_ns: '' } }
}

function idOf({ configurable }: Config): unknown {
  return configurable?.['checkpoint_id']
}

async function put(
  saver: FencedSaver['saver'],
  run: ClaimedRun,
  source: 'input' | 'loop',
  parent: Config = head(run),
): Promise<Config> {
  const checkpoint = {
    ...emptyCheckpoint(),
    id: uuid6(0),
    channel_values: { channel: INPUT },
    channel_versions: { channel: 1 },
  }
  const news: Record<string, number> = source === 'input' ? { channel: 1 } : {}
  return await saver.put(parent, checkpoint, { source, step: source === 'input' ? -1 : 0, parents: {} }, news)
}
