import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import type { RunEvent } from '../../../runtime/event.ts'
import { followRun } from '../../../runtime/follow.ts'
import { LeaseLost } from '../../../runtime/lease.ts'
import type { Storage } from '../../../storage/open.ts'
import { onEachWay } from './ways.ts'
import { beginRun, goOn, readAll, type WrittenRun } from './written-run.ts'

onEachWay((way) => {
  test('readers from the start, late ones and ones with a last id see each event once, in order, to the end', async () => {
    const run = await beginRun(way.writer)
    const early = [readAll(way.reader, run), readAll(way.reader, run), readAll(way.writer, run)]
    await run.write(120)
    const late = [
      readAll(way.reader, run),
      readAll(way.reader, run, { after: 60 }),
      readAll(way.reader, run, { after: 110 }),
    ]
    await run.write(120, { pauseMs: 1 })
    const tail = readAll(way.reader, run, { after: 200 })
    await run.end('success', 3)

    expect(run.visible).toHaveLength(243)
    for (const seen of await Promise.all(early)) expect(seen).toEqual(run.visible)
    const [all, after60, after110] = await Promise.all(late)
    expect(all).toEqual(run.visible)
    expect(after60).toEqual(run.visible.slice(61))
    expect(after110).toEqual(run.visible.slice(111))
    expect(await tail).toEqual(run.visible.slice(201))
    expect(await readAll(way.reader, run)).toEqual(run.visible)
  })

  test('a reader that is cut and comes back to another process misses and repeats nothing', async () => {
    const run = await beginRun(way.writer)
    const writing = run.write(150, { pauseMs: 1 }).then(() => run.end())
    const seen: number[] = []
    for (let turn = 0, last = -1; last < 149; turn++) {
      const cut = new AbortController()
      const side = turn % 2 === 0 ? way.reader : way.writer
      const onBatch = () => (turn < 8 ? cut.abort() : undefined)
      seen.push(...(await readAll(side, run, { after: last, onBatch, signal: cut.signal })))
      last = seen.at(-1) ?? -1
    }
    await writing
    expect(seen).toEqual(run.visible)
  })

  test('an event comes at once, not when its reader polls', async () => {
    const run = await beginRun(way.writer)
    const delays: number[] = []
    let [arrived, at] = [Promise.withResolvers<void>(), 0]
    const reading = readAll(way.reader, run, {
      onBatch() {
        delays.push(performance.now() - at)
        arrived.resolve()
      },
    })
    for (let count = 0; count < 4; count++) {
      ;[arrived, at] = [Promise.withResolvers<void>(), performance.now()]
      await run.write(1)
      await arrived.promise
    }
    await run.end()
    await reading
    expect(Math.min(...delays.slice(1))).toBeLessThan(500)
  })

  test('a slow reader sees everything and holds nobody up', async () => {
    const run = await beginRun(way.writer)
    let written = false
    let seenBefore = 0
    const slow = readAll(way.reader, run, {
      async onBatch(batch) {
        if (!written) seenBefore += batch?.length ?? 0
        await (written ? undefined : sleep(150))
      },
    })
    const quick = readAll(way.reader, run)
    // Beyond what one reader's inbox holds, in events and in characters.
    await run.write(700, { size: 1_000 })
    await run.end()
    written = true
    expect(seenBefore).toBeLessThan(700)
    expect(await quick).toEqual(run.visible)
    expect(await slow).toEqual(run.visible)
  })

  test('a batch too large to be sent live is read from the table', async () => {
    const run = await beginRun(way.writer)
    const seen = readAll(way.reader, run)
    await run.write(4, { size: 300_000, pauseMs: 5 })
    await run.write(4)
    await run.end()
    expect(await seen).toEqual(run.visible)
  })

  test('nothing is seen before it is committed', async () => {
    const late = slowToCommit(way.writer)
    const run = await beginRun(late.storage)
    const early: number[] = []
    const onBatch = (batch: RunEvent[] | null) =>
      void early.push(...(batch ?? []).map(({ seq }) => seq).filter((seq) => seq > late.through()))
    const seen = [readAll(way.reader, run, { onBatch }), readAll(way.writer, run, { onBatch })]
    await run.write(5, { pauseMs: 40 })
    await run.end('success', 2)
    for (const one of await Promise.all(seen)) expect(one).toEqual(run.visible)
    expect(early).toEqual([])
  })

  test('of a batch that is not committed nothing is seen', async () => {
    const run = await beginRun(way.writer)
    const seen: number[] = []
    const stop = new AbortController()
    const onBatch = (batch: RunEvent[] | null) => void seen.push(...(batch ?? []).map(({ seq }) => seq))
    const reading = readAll(way.reader, run, { onBatch, signal: stop.signal })
    await run.write(2)
    await vi.waitFor(() => expect(seen).toEqual([0, 1]), 5_000)
    await way.writer.queue.leave(run.run.worker_id)
    const heir = await goOn(way.writer, run)
    await run.write(3)
    await run.end()
    await sleep(100)
    expect(run.failures).toEqual([new LeaseLost(run.run.run_id)])
    expect(seen).toEqual([0, 1])
    await heir.write(1)
    await heir.end()
    stop.abort(await vi.waitFor(() => expect(seen).toEqual([0, 1, 2]), 5_000))
    await reading
  })

  test('a run that another worker takes over is one stream', async () => {
    const run = await beginRun(way.writer)
    const early = readAll(way.reader, run)
    await run.write(20, { pauseMs: 1 })
    await vi.waitFor(async () => expect(await lastSeq(way.writer, run)).toBe(19), 5_000)
    await way.writer.queue.leave(run.run.worker_id)
    const heir = await goOn(way.reader, run)
    const late = readAll(way.writer, heir, { after: 5 })
    await heir.write(20, { pauseMs: 1 })
    await heir.end()
    expect(heir.visible).toHaveLength(40)
    expect(await early).toEqual(heir.visible)
    expect(await late).toEqual(heir.visible.slice(6))
  })

  test('a run that is driven on after it failed is followed past its first end', async () => {
    const failed = await beginRun(way.writer)
    const first = readAll(way.reader, failed)
    await failed.write(10)
    await failed.end('error')
    expect(await first).toEqual(failed.visible)

    const { thread_id, run_id } = failed.run
    expect(await way.writer.runs.redrive(thread_id, run_id)).toMatchObject({ status: 'pending' })
    const waiting = readAll(way.reader, failed)
    const fromLast = readAll(way.reader, failed, { after: 9 })
    const again = await goOn(way.writer, failed)
    await again.write(10, { pauseMs: 1 })
    const within = readAll(way.reader, failed, { after: 4 })
    await again.end()
    expect(again.visible).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
    expect(await waiting).toEqual(again.visible)
    expect(await fromLast).toEqual(again.visible.slice(10))
    expect(await within).toEqual(again.visible.slice(5))
  })

  test('a run that ends while a reader is at the table loses that reader nothing', async () => {
    const run = await beginRun(way.writer)
    await run.write(3)
    let ended = false
    const read: Storage['events']['read'] = async (...args) => {
      const rows = await way.reader.events.read(...args)
      if (!ended) {
        ended = true
        await run.end('success', 2)
      }
      return rows
    }
    const side = { ...way.reader, events: { ...way.reader.events, read } }
    expect(await readAll(side, run)).toEqual(run.visible)
  })

  test('the readers of a run that is rolled back are let go', async () => {
    const run = await beginRun(way.writer)
    const seen = readAll(way.reader, run)
    await run.write(3, { pauseMs: 10 })
    expect(await way.writer.queue.settle(run.run, { status: 'rolled_back' })).toBe(true)
    expect(run.visible).toEqual(expect.arrayContaining(await seen))
  })

  test('a reader to whom nothing comes gets a heartbeat', async () => {
    const run = await beginRun(way.writer)
    const batches: (string | null)[] = []
    const reading = readAll(way.reader, run, {
      idleMs: 150,
      onBatch: (batch) => void batches.push(batch === null ? null : 'events'),
    })
    await run.write(1)
    await vi.waitFor(() => expect(batches.filter((batch) => batch === null).length).toBeGreaterThan(1), 5_000)
    await run.end()
    expect(await reading).toEqual(run.visible)
    expect(batches[0] ?? 'events').toBe('events')
  })

  test.skipIf(!way.live)(
    'a reader that keeps up reads the table at its start and its end alone',
    async () => {
      const run = await beginRun(way.writer)
      await run.write(1)
      await vi.waitFor(async () => expect(await lastSeq(way.writer, run)).toBe(0), 5_000)
      const read = vi.fn(way.reader.events.read)
      const side = { ...way.reader, events: { ...way.reader.events, read } }
      let begun = () => {}
      const started = new Promise<void>((resolve) => (begun = resolve))
      const seen = readAll(side, run, { onBatch: () => begun() })
      await started
      await run.write(50, { pauseMs: 5 })
      await run.end()
      expect(await seen).toEqual(run.visible)
      // Twice would be enough. The machine may be busy enough for a live batch to be later than the reader waits.
      expect(read.mock.calls.length).toBeLessThan(15)
    },
  )

  test('readers that are gone leave nothing behind', async () => {
    const run = await beginRun(way.writer)
    const stop = new AbortController()
    const reader = followRun(way.reader, {
      threadId: run.run.thread_id,
      runId: run.run.run_id,
      after: -1,
      idleMs: 60_000,
      signal: stop.signal,
    })
    const next = reader.next()
    stop.abort()
    expect(await next).toMatchObject({ done: true })
    await run.end()
  })
})

async function lastSeq({ events }: Storage, { run }: WrittenRun): Promise<number | undefined> {
  return (await events.last(run.thread_id, run.run_id))?.seq
}

/** Storage that takes its time before it commits events; `through` is the last one that may be committed by now. */
function slowToCommit(storage: Storage): { storage: Storage; through: () => number } {
  let through = -1
  const events: Storage['events'] = {
    ...storage.events,
    async append(run, from, list) {
      await sleep(30)
      through = from + list.length - 1
      return await storage.events.append(run, from, list)
    },
  }
  const queue: Storage['queue'] = {
    ...storage.queue,
    async settle(run, outcome) {
      await sleep(30)
      through = Infinity
      return await storage.queue.settle(run, outcome)
    },
  }
  return { storage: { ...storage, events, queue }, through: () => through }
}
