import { expect, test } from 'vitest'
import { onEachWay } from './ways.ts'
import { beginRun, readAll } from './written-run.ts'

onEachWay((way) => {
  test('events of a run that is only waited for are committed with its end, where those of a read one are at once', async () => {
    const [awaited, read] = [await beginRun(way.writer), await beginRun(way.writer)]
    const waiting = way.writer.live.subscribe(awaited.run.run_id, 'waits')
    const arrived = Promise.withResolvers<void>()
    const reading = readAll(way.writer, read, { onBatch: () => arrived.resolve() })
    await awaited.write(3)
    await read.write(3)
    await arrived.promise
    expect(await way.writer.events.last(read.run.thread_id, read.run.run_id)).toBeDefined()
    expect(await way.writer.events.last(awaited.run.thread_id, awaited.run.run_id)).toBeUndefined()
    await Promise.all([awaited.end('success', 1), read.end()])
    waiting.close()
    expect(await readAll(way.reader, awaited)).toEqual(awaited.visible)
    expect(await reading).toEqual(read.visible)
  })

  test('many events of a run that is only waited for are committed meanwhile, and do not hold it up', async () => {
    const run = await beginRun(way.writer)
    const waiting = way.writer.live.subscribe(run.run.run_id, 'waits')
    await run.write(3_000)
    const last = await way.writer.events.last(run.run.thread_id, run.run.run_id)
    expect(last?.seq).toBeGreaterThan(1_500)
    await run.end()
    waiting.close()
    expect(await readAll(way.reader, run)).toEqual(run.visible)
  })
})
