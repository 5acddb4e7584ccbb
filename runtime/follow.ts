import { END_EVENT, firstEvent, type RunEvent } from './event.ts'
import type { LiveEvents, LiveReader } from './live-events.ts'
import type { EventLog, Runs } from './ports.ts'
import { frameName } from './protocol.ts'
import { isEnded } from './run.ts'

/** Events read at once. A slow reader holds no more than this in memory, beside what waits for it in its inbox. */
const BATCH = 200
/** Should all news be lost, a reader is this late. */
const POLL_MS = 1_000
/** How long a batch that is known to be committed may be on its way to a reader that gets them live. */
const UNDER_WAY_MS = 20

export interface FollowPorts {
  events: EventLog
  runs: Runs
  live: LiveEvents
}

interface Place {
  threadId: string
  runId: string
  after: number
  idleMs: number
  signal: AbortSignal
  /** The run has been made just now. */
  begins?: boolean
}

/** Where a reader is. */
interface Cursor {
  last: number
  /** When it last moved, or a heartbeat was sent. */
  movedAt: number
  /** Whether the run's batches reach this process live. */
  live: boolean
}

/**
 * The run's events after `after` (−1: all), each once, in order, until the run has ended. The table is the truth, so it
 * does not matter which process executes the run, or how many have; live batches save reading it for as long as they
 * continue it. Yields `null` whenever `idleMs` passed without an event. Whose run has just been made has its first event
 * before a worker has begun.
 */
export async function* followRun(ports: FollowPorts, place: Place): AsyncGenerator<RunEvent[] | null> {
  const reader = ports.live.subscribe(place.runId)
  const cursor: Cursor = { last: place.after, movedAt: performance.now(), live: false }
  try {
    if (place.begins === true) yield* deliver([firstEvent(place.runId)], cursor)
    while (!place.signal.aborted) {
      // Asked before the events are read: an ended run writes no more, so what is read then is all of it.
      const status = await ports.runs.status(place.threadId, place.runId)
      yield* fromTable(ports.events, place, cursor)
      if (status === undefined || isEnded(status)) return
      if (performance.now() - cursor.movedAt >= place.idleMs) {
        cursor.movedAt = performance.now()
        yield null
      }
      yield* fromLive(reader, place, cursor)
    }
  } finally {
    reader.close()
  }
}

/** All that is committed by now. */
async function* fromTable(
  log: EventLog,
  { threadId, runId, signal }: Place,
  cursor: Cursor,
): AsyncGenerator<RunEvent[]> {
  while (!signal.aborted) {
    const batch = await log.read(threadId, runId, cursor.last, BATCH)
    yield* deliver(batch, cursor)
    if (batch.length < BATCH) return
  }
}

/** Live batches, for as long as they continue where the reader is. Returns when the table is to be asked. */
async function* fromLive(
  reader: LiveReader,
  { idleMs, signal }: Place,
  cursor: Cursor,
): AsyncGenerator<RunEvent[]> {
  let committed = cursor.last
  let deadline = 0
  while (!signal.aborted) {
    const late = committed > cursor.last
    const waitMs = late ? Math.max(0, deadline - performance.now()) : Math.min(POLL_MS, idleMs)
    const news = await reader.next({ timeoutMs: waitMs, signal })
    if (news === undefined && late) cursor.live = false
    if (news === undefined || news.kind === 'unknown') return
    if (news.kind === 'committed') {
      if (news.through <= cursor.last) continue
      if (!cursor.live || (late && waitMs === 0)) return
      if (!late) deadline = performance.now() + UNDER_WAY_MS
      committed = Math.max(committed, news.through)
      continue
    }
    cursor.live = true
    if (news.from > cursor.last + 1) return
    const first = cursor.last + 1
    const fresh = news.events
      .slice(first - news.from)
      .map((event, index) => ({ ...event, seq: first + index }))
    yield* deliver(fresh, cursor)
    deadline = performance.now() + UNDER_WAY_MS
    // Only the run's status says whether this was its end: a run that is driven on after an error has several.
    if (fresh.some(({ event }) => event === END_EVENT)) return
  }
}

function* deliver(batch: RunEvent[], cursor: Cursor): Generator<RunEvent[]> {
  const end = batch.at(-1)
  if (end === undefined) return
  cursor.last = end.seq
  cursor.movedAt = performance.now()
  const visible = batch.filter(({ event }) => event !== END_EVENT && frameName(event) === undefined)
  if (visible.length > 0) yield visible
}

/**
 * Waits until the run has ended. Returns JSON text: its final values, or `{"__error__": {error, message}}`; `undefined`
 * of a run that never ran, or whose events are gone. Where it ends in this process, that is told without asking the
 * table.
 */
export async function awaitRun(
  { live, runs }: FollowPorts,
  { threadId, runId, idleMs, signal, begins = false }: Omit<Place, 'after'>,
  onIdle: () => Promise<void>,
): Promise<string | undefined> {
  const reader = live.subscribe(runId, 'waits')
  let idleAt = performance.now() + idleMs
  // One that has just begun is not over, and should it have ended before the subscription, that is found out then.
  let lookAt = performance.now() + (begins ? POLL_MS : 0)
  try {
    while (!signal.aborted) {
      const now = performance.now()
      if (now >= lookAt) {
        const found = await runs.ending(threadId, runId)
        if (found === undefined || isEnded(found.status)) return found?.end ?? undefined
        lookAt = performance.now() + POLL_MS
      }
      if (now >= idleAt) {
        await onIdle()
        idleAt = performance.now() + idleMs
      }
      const news = await reader.next({ timeoutMs: Math.max(0, Math.min(lookAt, idleAt) - now), signal })
      if (news?.kind === 'batch') {
        const end = news.events.find(({ event }) => event === END_EVENT)
        if (end !== undefined) return end.data
      }
      // Of an end in this process the news itself is a moment behind the signal.
      if (news?.kind === 'unknown') lookAt = Math.min(lookAt, performance.now() + UNDER_WAY_MS)
    }
    return undefined
  } finally {
    reader.close()
  }
}
