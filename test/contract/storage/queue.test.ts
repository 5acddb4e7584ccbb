import { expect, test } from 'vitest'
import { LOCAL } from '../../../runtime/people.ts'
import { newId } from '../../../runtime/ids.ts'
import { topics } from '../../../runtime/topics.ts'
import type { ClaimedRun } from '../../../runtime/run.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import {
  claimOf,
  createRun,
  createThread,
  createWorker,
  endedWell,
  expireWorker,
  pausedState,
  threadState,
  useStorage,
} from '../../support/storage.ts'

onBothDatabases((database) => {
  const storage = useStorage(database)

  test('a thread has one running run, however many workers claim', async () => {
    const { mine, other } = storage
    const threads = await Promise.all(Array.from({ length: 12 }, () => createThread(mine)))
    const runs = new Set<string>()
    for (const threadId of threads) for (let n = 0; n < 3; n++) runs.add(await createRun(mine, threadId))
    const workers = await Promise.all(
      [mine, other, mine, other].map(async (ports) => ({ ports, id: await createWorker(ports) })),
    )

    const claimed: string[] = []
    const running = new Set<string>()
    let most = 0
    const work = async ({ ports, id }: (typeof workers)[number]) => {
      while (claimed.length < runs.size) {
        const batch = await ports.queue.claim(id, 3)
        for (const run of batch) {
          expect(running).not.toContain(run.thread_id)
          running.add(run.thread_id)
          claimed.push(run.run_id)
        }
        most = Math.max(most, running.size)
        for (const run of batch) {
          running.delete(run.thread_id)
          expect(await ports.queue.settle(run, endedWell())).toBe(true)
        }
      }
    }
    await Promise.all(workers.map(work))
    expect(claimed.toSorted()).toEqual([...runs].toSorted())
    expect(most).toBeGreaterThan(1)
  })

  test('a second running run of a thread is refused by the database itself', async () => {
    const threadId = await createThread(storage.mine)
    await createRun(storage.mine, threadId)
    const second = await createRun(storage.mine, threadId)
    await claimOf(storage.mine, await createWorker(storage.mine), threadId)
    await expect(
      storage.mine.db.query(`update runs set status = 'running' where run_id = $1`, [second]),
    ).rejects.toMatchObject({ code: '23505' })
  })

  test('the runs of a thread come in the order in which they were made, those that answer first', async () => {
    const { mine } = storage
    const threadId = await createThread(mine)
    await createRun(mine, threadId)
    const paused = pausedState(threadId, [{ n: 1 }])
    await mine.queue.settle(await claimOf(mine, await createWorker(mine), threadId), endedWell(paused))
    const [first, second] = [await createRun(mine, threadId), await createRun(mine, threadId)]
    const answer = await createRun(mine, threadId, { request: { command: { goto: 'x' } } })
    expect(await order(threadId, 3)).toEqual([answer, first, second])
  })

  test('a command where nothing is paused is a run like others', async () => {
    const { mine } = storage
    const threadId = await createThread(mine)
    const first = await createRun(mine, threadId)
    const command = { request: { command: { goto: 'x' } } }
    await expect(
      createRun(mine, threadId, { ...command, multitask_strategy: 'reject' }),
    ).rejects.toMatchObject({ code: 'thread_busy' })
    const second = await createRun(mine, threadId, command)
    expect(await order(threadId, 2)).toEqual([first, second])
  })

  test('a thread with a long queue keeps no other thread waiting', async () => {
    const { mine } = storage
    const busy = await createThread(mine)
    for (let n = 0; n < 8; n++) await createRun(mine, busy)
    const quiet = await createThread(mine)
    const run = await createRun(mine, quiet)
    const claimed = await mine.queue.claim(await createWorker(mine), 2)
    expect(claimed.map(({ thread_id }) => thread_id)).toEqual([busy, quiet])
    expect(claimed[1]?.run_id).toBe(run)
  })

  test('a held thread waits, and the run that answers it does not', async () => {
    const { mine } = storage
    const worker = await createWorker(mine)
    const threadId = await createThread(mine)
    await createRun(mine, threadId)
    const state = pausedState(threadId, [{ n: 1 }])
    await mine.queue.settle(await claimOf(mine, worker, threadId), endedWell(state))
    const queued = await createRun(mine, threadId)
    expect(await mine.queue.claim(worker, 10)).toEqual([])
    expect(await mine.threads.get(threadId)).toMatchObject({ status: 'interrupted' })

    const hold = await mine.holds.decide(
      state.holds[0]?.approval_id ?? '',
      { type: 'approve' },
      LOCAL,
      undefined,
    )
    const answer = await claimOf(mine, worker, threadId)
    expect(answer.run_id).toBe(hold.resumed_run_id)
    expect(await mine.threads.get(threadId)).toMatchObject({ status: 'busy' })
    await mine.queue.settle(answer, endedWell())
    expect((await claimOf(mine, worker, threadId)).run_id).toBe(queued)
  })

  test.for(['interrupt', 'rollback'] as const)(
    'a thread at a breakpoint stands there again when the next run is dropped (%s)',
    async (action) => {
      const { mine } = storage
      const worker = await createWorker(mine)
      const threadId = await createThread(mine)
      await createRun(mine, threadId)
      const atBreakpoint = threadState({ paused: true })
      await mine.queue.settle(await claimOf(mine, worker, threadId), endedWell(atBreakpoint))
      const stands = { status: 'interrupted', interrupts: {} }
      expect(await mine.threads.get(threadId)).toMatchObject(stands)

      const queued = await createRun(mine, threadId)
      expect(await mine.threads.get(threadId)).toMatchObject({ status: 'busy' })
      await mine.runs.cancel(threadId, queued, action)
      expect(await mine.threads.get(threadId)).toMatchObject(stands)

      await createRun(mine, threadId)
      const begun = await claimOf(mine, worker, threadId)
      await mine.queue.settle(begun, { status: 'rolled_back' })
      expect(await mine.threads.get(threadId)).toMatchObject(stands)
    },
  )

  test('a delayed run waits for its time and lets later ones pass', async () => {
    const { mine } = storage
    const threadId = await createThread(mine)
    const delayed = await createRun(mine, threadId, { after_seconds: 3_600 })
    const prompt = await createRun(mine, threadId)
    expect(await order(threadId, 1)).toEqual([prompt])
    expect(await mine.queue.claim(await createWorker(mine), 10)).toEqual([])
    await mine.db.query(`update runs set available_at = now() - interval '1 second' where run_id = $1`, [
      delayed,
    ])
    expect(await order(threadId, 1)).toEqual([delayed])
  })

  test("a dead worker's run goes to another before anything new, with its attempt and token raised", async () => {
    const { mine, other } = storage
    const threadId = await createThread(mine)
    const runId = await createRun(mine, threadId)
    const dead = await createWorker(mine)
    const first = await claimOf(mine, dead, threadId)
    await createRun(mine, await createThread(mine))
    const worker = await createWorker(other)
    await expireWorker(mine, dead)
    const [taken] = await other.queue.claim(worker, 1)
    expect(taken).toMatchObject({ run_id: runId, attempt: 2, worker_id: worker })
    expect(Number(taken?.lease_token)).toBeGreaterThan(Number(first.lease_token))
    // A heartbeat that comes too late gives nothing back.
    await mine.queue.heartbeat(dead, 60_000)
    expect(await mine.queue.claim(dead, 10)).toHaveLength(1)
    expect(await other.runs.get(threadId, runId)).toMatchObject({ status: 'running', attempt: 2 })
  })

  test('a run that is handed over goes on at once, before its queue', async () => {
    const { mine } = storage
    const threadId = await createThread(mine)
    const runId = await createRun(mine, threadId)
    await createRun(mine, threadId)
    const run = await claimOf(mine, await createWorker(mine), threadId)
    await mine.queue.handOver(run)
    expect(await claimOf(mine, await createWorker(mine), threadId)).toMatchObject({
      run_id: runId,
      attempt: 2,
    })
  })

  test('a worker that leaves gives up its leases', async () => {
    const { mine, other } = storage
    const threadId = await createThread(mine)
    const leaving = await createWorker(mine)
    await createRun(mine, threadId)
    const run = await claimOf(mine, leaving, threadId)
    await mine.queue.leave(leaving)
    expect(await claimOf(other, await createWorker(other), threadId)).toMatchObject({
      run_id: run.run_id,
      attempt: 2,
    })
  })

  test('a worker whose own lease is over claims nothing until it beats again', async () => {
    const { mine } = storage
    const threadId = await createThread(mine)
    const asleep = await createWorker(mine)
    await expireWorker(mine, asleep)
    await createRun(mine, threadId)
    expect(await mine.queue.claim(asleep, 10, { held: [] })).toEqual([])
    await mine.queue.heartbeat(asleep, 60_000)
    expect(await mine.queue.claim(asleep, 10, { held: [] })).toHaveLength(1)
  })

  test('a run that its worker does not know of comes back to it, and is no stall', async () => {
    const { mine } = storage
    const worker = await createWorker(mine)
    await createRun(mine, await createThread(mine))
    // The answer to this claim was lost on its way.
    const [lost] = await mine.queue.claim(worker, 10, { held: [] })
    expect(await mine.queue.claim(worker, 10, { held: [lost?.run_id ?? ''] })).toEqual([])
    expect(await mine.queue.claim(worker, 10, { held: [] })).toMatchObject([
      { run_id: lost?.run_id, attempt: 2, lease_token: '2', stalls: 0 },
    ])
    if (lost) expect(await mine.queue.settle(lost, endedWell())).toBe(false)
  })

  test('a pending run that is cancelled ends at once, a running one is told to, an ended one stays', async () => {
    const { mine } = storage
    const worker = await createWorker(mine)
    const threadId = await createThread(mine)
    const first = await createRun(mine, threadId)
    const second = await createRun(mine, threadId)
    const run = await claimOf(mine, worker, threadId)
    expect(await mine.runs.cancel(threadId, second, 'interrupt')).toMatchObject({ status: 'interrupted' })
    expect(await mine.runs.cancel(threadId, first, 'interrupt')).toMatchObject({ status: 'running' })
    expect(await mine.queue.cancelAction(run)).toBe('interrupt')
    await mine.queue.settle(run, { ...endedWell(), status: 'interrupted' })
    expect(await mine.threads.get(threadId)).toMatchObject({ status: 'idle' })
    expect(await mine.runs.cancel(threadId, first, 'rollback')).toMatchObject({ status: 'interrupted' })
  })

  test('a new run wakes whoever watches the queue, in this process and in another', async () => {
    const { mine, other } = storage
    const threadId = await createThread(mine)
    const watches = [mine, other].map(({ signals }) => signals.watch(topics.queue))
    const signal = AbortSignal.timeout(10_000)
    const woken = Promise.all(watches.map((watch) => watch.changed({ timeoutMs: 60_000, signal })))
    await createRun(mine, threadId)
    await woken
    watches.forEach((watch) => watch.close())
    expect(signal.aborted).toBe(false)
  })

  test('a run id that exists is refused, and so is a run on a thread that does not', async () => {
    const { mine } = storage
    const threadId = await createThread(mine)
    const runId = await createRun(mine, threadId)
    await expect(createRun(mine, threadId, { run_id: runId })).rejects.toMatchObject({ code: 'run_exists' })
    await expect(createRun(mine, newId())).rejects.toMatchObject({ code: 'thread_not_found' })
  })

  /** The next runs of the thread as they are claimed, each ended before the next. */
  async function order(threadId: string, count: number): Promise<string[]> {
    const worker = await createWorker(storage.mine)
    const runs: ClaimedRun[] = []
    while (runs.length < count) {
      const run = await claimOf(storage.mine, worker, threadId)
      await storage.mine.queue.settle(run, endedWell())
      runs.push(run)
    }
    return runs.map(({ run_id }) => run_id)
  }
})
