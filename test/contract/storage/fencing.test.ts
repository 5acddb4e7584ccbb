import { emptyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint'
import { expect, test } from 'vitest'
import { LeaseLost } from '../../../runtime/lease.ts'
import type { FencedSaver } from '../../../runtime/checkpoints.ts'
import type { ClaimedRun } from '../../../runtime/run.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import {
  claimOf,
  createClaimed,
  createWorker,
  endedWell,
  expireWorker,
  pausedState,
  untilBlocked,
  useStorage,
} from '../../support/storage.ts'

const EVENT = { event: 'values', data: '{}' }

onBothDatabases((database) => {
  const storage = useStorage(database)

  test("after a takeover the first worker's checkpoints and pending writes are not written", async () => {
    const { zombie, heir } = await takenOver()
    const lost: Error[] = []
    const stale = storage.mine.checkpoints.fenced(zombie, (error) => lost.push(error)).saver
    const config = await put(stale, zombie)
    await stale.putWrites({ configurable: { ...config.configurable } }, [['channel', 1]], 'task')
    expect(lost).toEqual([new LeaseLost(zombie.run_id)])
    expect(await rowsOf('checkpoints')).toEqual([])
    expect(await rowsOf('checkpoint_chunks')).toEqual([])
    expect(await rowsOf('checkpoint_writes')).toEqual([])

    const failures: Error[] = []
    const good = storage.other.checkpoints.fenced(heir, (error) => failures.push(error)).saver
    await good.putWrites(await put(good, heir), [['channel', 1]], 'task')
    expect(failures).toEqual([])
    expect(await rowsOf('checkpoints')).toHaveLength(1)
    expect(await rowsOf('checkpoint_chunks')).toHaveLength(1)
    expect(await rowsOf('checkpoint_writes')).toHaveLength(1)
    expect(await storage.mine.checkpoints.headRunId(heir.thread_id)).toBe(heir.run_id)
  })

  test('pending writes alone are fenced, too', async () => {
    const { mine } = storage
    const worker = await createWorker(mine)
    const zombie = await createClaimed(mine, worker)
    const { thread_id: threadId } = zombie
    const lost: Error[] = []
    const saver = mine.checkpoints.fenced(zombie, (error) => lost.push(error)).saver
    const config = await put(saver, zombie)
    await expireWorker(mine, worker)
    await claimOf(storage.other, await createWorker(storage.other), threadId)
    await saver.putWrites(config, [['channel', 1]], 'task-1')
    await saver.putWrites(config, [['__interrupt__', 1]], 'task-2')
    expect(await rowsOf('checkpoint_writes')).toEqual([])
    expect(lost).toEqual([new LeaseLost(zombie.run_id)])
  })

  test("after a takeover the first worker's events are not written, and the numbers go on without a gap", async () => {
    const { mine, other } = storage
    const worker = await createWorker(mine)
    const zombie = await createClaimed(mine, worker)
    const { thread_id: threadId } = zombie
    expect(await mine.events.append(zombie, 0, [EVENT, EVENT])).toBe(true)
    await expireWorker(mine, worker)
    const heir = await claimOf(other, await createWorker(other), threadId)
    expect(await mine.events.append(zombie, 2, [EVENT])).toBe(false)
    const last = await other.events.last(threadId, heir.run_id)
    expect(await other.events.append(heir, (last?.seq ?? -1) + 1, [EVENT])).toBe(true)
    expect(await mine.events.append(zombie, 3, [EVENT])).toBe(false)
    const ended = { ...endedWell(), events: { from: 3, list: [EVENT, EVENT] } }
    expect(await other.queue.settle(heir, ended)).toBe(true)
    const events = await mine.events.read(threadId, heir.run_id, -1, 100)
    expect(events.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4])
  })

  test('after a takeover the first worker cannot end the run, in whatever way', async () => {
    const { zombie, heir } = await takenOver()
    const { mine } = storage
    const state = pausedState(zombie.thread_id, [{ n: 1 }])
    const events = { from: 0, list: [EVENT] }
    const error = { error: 'Error', message: 'zombie' }
    expect(await mine.queue.settle(zombie, { status: 'success', events, state })).toBe(false)
    expect(await mine.queue.settle(zombie, { status: 'error', error, events, state })).toBe(false)
    expect(await mine.queue.settle(zombie, { status: 'interrupted', events, state })).toBe(false)
    expect(await mine.queue.settle(zombie, { status: 'rolled_back' })).toBe(false)
    await mine.queue.handOver(zombie)
    expect(await mine.queue.cancelAction(zombie)).toBeNull()

    expect(await mine.runs.get(heir.thread_id, heir.run_id)).toMatchObject({
      status: 'running',
      attempt: 2,
      error: null,
    })
    expect(await mine.threads.get(heir.thread_id)).toMatchObject({
      status: 'busy',
      interrupts: {},
      values: null,
    })
    expect(await mine.events.read(heir.thread_id, heir.run_id, -1, 10)).toEqual([])
    expect((await mine.holds.search({ limit: 10, offset: 0 })).items).toEqual([])
    expect(await storage.other.queue.settle(heir, endedWell())).toBe(true)
  })

  test('an ended run takes no more checkpoints, events or ends', async () => {
    const { mine } = storage
    const run = await createClaimed(mine)
    expect(await mine.queue.settle(run, endedWell())).toBe(true)
    const lost: Error[] = []
    await put(mine.checkpoints.fenced(run, (failure) => lost.push(failure)).saver, run)
    expect(lost).toEqual([new LeaseLost(run.run_id)])
    expect(await mine.events.append(run, 0, [EVENT])).toBe(false)
    expect(await mine.queue.settle(run, endedWell())).toBe(false)
    expect(await rowsOf('checkpoints')).toEqual([])
  })

  test('a worker that still lives keeps its run', async () => {
    const { mine, other } = storage
    const run = await createClaimed(mine)
    expect(await other.queue.claim(await createWorker(other), 10)).toEqual([])
    expect(await mine.events.append(run, 0, [EVENT])).toBe(true)
  })

  test.skipIf(database.embedded)(
    'a write that meets a takeover under way waits for it, and is refused',
    async () => {
      const { mine, other } = storage
      const worker = await createWorker(mine)
      const zombie = await createClaimed(mine, worker)
      const { thread_id: threadId } = zombie
      let appended: Promise<boolean> | undefined
      await other.db.transaction(async (client) => {
        await client.query(
          'update runs set lease_token = lease_token + 1, attempt = attempt + 1 where run_id = $1',
          [zombie.run_id],
        )
        appended = mine.events.append(zombie, 0, [EVENT])
        await untilBlocked(other)
      })
      expect(await appended).toBe(false)
      expect(await mine.events.last(threadId, zombie.run_id)).toBeUndefined()
    },
  )

  /** A run that one worker began and lost, and another holds. */
  async function takenOver(): Promise<{ zombie: ClaimedRun; heir: ClaimedRun }> {
    const { mine, other } = storage
    const worker = await createWorker(mine)
    const zombie = await createClaimed(mine, worker)
    const { thread_id: threadId } = zombie
    await expireWorker(mine, worker)
    const heir = await claimOf(other, await createWorker(other), threadId)
    expect(heir.run_id).toBe(zombie.run_id)
    return { zombie, heir }
  }

  async function put(saver: FencedSaver['saver'], run: ClaimedRun) {
    const checkpoint = {
      ...emptyCheckpoint(),
      id: uuid6(0),
      channel_values: { channel: 'x'.repeat(100) },
      channel_versions: { channel: 1 },
    }
    return await saver.put(
      { configurable: { thread_id: run.thread_id, checkpoint_ns: '' } },
      checkpoint,
      { source: 'loop', step: 0, parents: {} },
      { channel: 1 },
    )
  }

  async function rowsOf(
    table: 'checkpoints' | 'checkpoint_chunks' | 'checkpoint_writes',
  ): Promise<unknown[]> {
    return (await storage.mine.db.query(`select * from ${table}`)).rows
  }
})
