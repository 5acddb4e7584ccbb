import { expect, test } from 'vitest'
import type { LiveEvents } from '../../../runtime/live-events.ts'
import type { Storage } from '../../../storage/open.ts'
import { onEachWay } from './ways.ts'
import { beginRun, readAll } from './written-run.ts'

type Publish = LiveEvents['publish']

/** What a live path may do to batches: it promises nothing. */
const FAULTS: Record<string, () => (publish: Publish) => Publish> = {
  'every batch comes twice': () => (publish) => (runId, from, events) => {
    publish(runId, from, events)
    publish(runId, from, events)
  },
  'every third batch is lost': () => (publish) => {
    let count = 0
    return (...batch) => (++count % 3 === 0 ? undefined : publish(...batch))
  },
  'batches come in pairs, the later one first': () => (publish) => {
    let held: Parameters<Publish> | undefined
    return (...batch) => {
      if (held === undefined) {
        held = batch
        return
      }
      publish(...batch)
      publish(...held)
      held = undefined
    }
  },
  'batches overlap those before them': () => (publish) => {
    let [previousFrom, previous]: [number, Parameters<Publish>[2]] = [0, []]
    return (runId, from, events) => {
      const continues = previousFrom + previous.length === from
      if (continues) publish(runId, previousFrom, [...previous, ...events])
      else publish(runId, from, events)
      ;[previousFrom, previous] = [from, events]
    }
  },
  'all batches so far come again after each one': () => (publish) => {
    const before: Parameters<Publish>[] = []
    return (...batch) => {
      before.push(batch)
      before.forEach((one) => publish(...one))
    }
  },
  'nothing comes at all': () => () => () => {},
}

onEachWay((way) => {
  for (const [name, fault] of Object.entries(FAULTS)) {
    test(`readers see each event once, in order, to the end, when ${name}`, async () => {
      const writer = faulty(way.writer, fault())
      const run = await beginRun(writer)
      const early = [readAll(way.reader, run), readAll(way.writer, run)]
      await run.write(60, { pauseMs: 2 })
      const late = readAll(way.reader, run, { after: 20 })
      await run.write(60)
      await run.end('success', 2)
      for (const seen of await Promise.all(early)) expect(seen).toEqual(run.visible)
      expect(await late).toEqual(run.visible.slice(21))
    })
  }
})

function faulty(storage: Storage, fault: (publish: Publish) => Publish): Storage {
  return { ...storage, live: { ...storage.live, publish: fault(storage.live.publish) } }
}
