import { expect, test } from 'vitest'
import { createLiveHub, type LiveReader } from '../../runtime/live-events.ts'
import { topics } from '../../runtime/topics.ts'

const ONE = [{ event: 'a', data: '{}' }]

test('a reader gets the batches of its run, in their order', async () => {
  const hub = createLiveHub()
  const reader = hub.subscribe('run')
  hub.publish('run', 0, ONE)
  hub.publish('another', 0, ONE)
  hub.publish('run', 1, ONE)
  expect(await next(reader)).toEqual({ kind: 'batch', from: 0, events: ONE })
  expect(await next(reader)).toEqual({ kind: 'batch', from: 1, events: ONE })
  expect(await next(reader)).toBeUndefined()
})

test('a reader that waits is woken by a batch, a topic, the end of its time and an abort', async () => {
  const hub = createLiveHub()
  const reader = hub.subscribe('run')
  const batch = next(reader, 5_000)
  hub.publish('run', 0, ONE)
  expect(await batch).toMatchObject({ kind: 'batch' })
  const committed = next(reader, 5_000)
  hub.hear(topics.events('run', 3))
  expect(await committed).toEqual({ kind: 'committed', through: 3 })
  const status = next(reader, 5_000)
  hub.hear(topics.run('run'))
  expect(await status).toEqual({ kind: 'unknown' })
  expect(await next(reader, 1)).toBeUndefined()
  const stop = new AbortController()
  const aborted = reader.next({ timeoutMs: 5_000, signal: stop.signal })
  stop.abort()
  expect(await aborted).toBeUndefined()
})

test('of several announcements the highest is told, once', async () => {
  const hub = createLiveHub()
  const reader = hub.subscribe('run')
  for (const through of [3, 9, 5]) hub.hear(topics.events('run', through))
  expect(await next(reader)).toEqual({ kind: 'committed', through: 9 })
  expect(await next(reader)).toBeUndefined()
})

test('after a gap in the connection every reader looks at the table', async () => {
  const hub = createLiveHub()
  const readers = [hub.subscribe('run'), hub.subscribe('another')]
  hub.missed()
  for (const reader of readers) expect(await next(reader)).toEqual({ kind: 'unknown' })
})

test('a reader that does not read holds no more than its limits, and is told that it missed something', async () => {
  for (const limits of [
    { events: 10, characters: 1_000_000 },
    { events: 1_000, characters: 30 },
  ]) {
    const hub = createLiveHub(limits)
    const [slow, quick] = [hub.subscribe('run'), hub.subscribe('run')]
    for (let from = 0; from < 50; from++) {
      hub.publish('run', from, ONE)
      expect(await next(quick)).toMatchObject({ kind: 'batch', from })
    }
    expect(await next(slow)).toEqual({ kind: 'unknown' })
    // All of it was let go, and from now on batches are kept again.
    expect(await next(slow)).toBeUndefined()
    hub.publish('run', 50, ONE)
    expect(await next(slow)).toMatchObject({ kind: 'batch', from: 50 })
  }
})

test('a batch over the limits is not kept at all', async () => {
  const hub = createLiveHub({ events: 10, characters: 20 })
  const reader = hub.subscribe('run')
  hub.publish('run', 0, [{ event: 'a', data: 'x'.repeat(30) }])
  expect(await next(reader)).toEqual({ kind: 'unknown' })
  expect(await next(reader)).toBeUndefined()
})

test('readers that closed are forgotten', () => {
  const hub = createLiveHub()
  const [one, two] = [hub.subscribe('run'), hub.subscribe('run')]
  one.close()
  expect(hub.hasReaders('run')).toBe(true)
  two.close()
  two.close()
  expect(hub.hasReaders('run')).toBe(false)
})

function next(reader: LiveReader, timeoutMs = 0) {
  return reader.next({ timeoutMs, signal: new AbortController().signal })
}
