import { frameName, methodOf } from './protocol.ts'
import { type EventLog, type LiveEvents, type LiveReader, type Runs, type Signals, topics } from './ports.ts'
import { isEnded } from './run.ts'

/** Events read at once: a slow reader holds no more than this. */
const BATCH = 200
/** Should all news be lost, a reader is this late. */
const POLL_MS = 1_000
/**
 * A frame's position in its thread: the millisecond in which its run began, and its number in the run. Runs of one
 * thread follow each other, and none writes 2,048 events in a millisecond, so positions rise; they are safe integers
 * until 2109.
 */
const PER_MS = 2_048

export interface ThreadPorts {
  events: EventLog
  live: LiveEvents
  runs: Runs
  signals: Signals
}

/** A frame as it is sent, and what filters ask of it. */
export interface ThreadFrame {
  /** Of this thread and for ever: the run's id and the event's number. */
  id: string
  seq: number
  method: string
  channel: string
  namespace: string[]
  /** JSON text. */
  json: string
}

export interface FrameFilter {
  channels: string[]
  namespaces?: string[][] | undefined
  /** How far below one of `namespaces` a frame may be; unset: any. */
  depth?: number | undefined
}

export interface ThreadReader {
  /** The next frames that the table has; `undefined` where there are none yet. */
  read(): Promise<ThreadFrame[] | undefined>
  /** Returns when there may be more, after `timeoutMs`, or when `signal` aborts. */
  news(options: { timeoutMs: number; signal: AbortSignal }): Promise<void>
  close(): void
}

/**
 * The frames of all runs of a thread, in order, from the table alone: no matter which process executes them, or how
 * many have. The thread need not exist yet.
 */
export function readThread({ events, live, runs, signals }: ThreadPorts, threadId: string): ThreadReader {
  const watch = signals.watch(topics.thread(threadId))
  let run: { runId: string; startedAt: Date; last: number; reader: LiveReader; ended: boolean } | undefined
  const readRun = async () => {
    if (run === undefined) return []
    // Asked before the events are read: an ended run writes no more, so what is read then is all of it.
    const status = await runs.status(threadId, run.runId)
    run.ended = status === undefined || isEnded(status)
    const batch = await events.read(threadId, run.runId, run.last, BATCH)
    run.last = batch.at(-1)?.seq ?? run.last
    const { runId, startedAt } = run
    return batch.map(({ event, data, seq }) => toFrame({ runId, startedAt, seq, event, data }))
  }
  return {
    async read() {
      for (;;) {
        const batch = await readRun()
        if (batch.length > 0) return batch.filter((frame) => frame !== undefined)
        if (run !== undefined && !run.ended) return undefined
        const next = await events.nextRun(threadId, run)
        if (next === undefined) return undefined
        run?.reader.close()
        run = { ...next, last: -1, reader: live.subscribe(next.runId), ended: false }
      }
    },
    async news({ timeoutMs, signal }) {
      const waitMs = Math.min(timeoutMs, POLL_MS)
      if (run === undefined || run.ended) await watch.changed({ timeoutMs: waitMs, signal })
      else await run.reader.next({ timeoutMs: waitMs, signal })
    },
    close() {
      watch.close()
      run?.reader.close()
    },
  }
}

function toFrame(event: {
  runId: string
  startedAt: Date
  seq: number
  event: string
  data: string
}): ThreadFrame | undefined {
  const name = frameName(event.event)
  if (name === undefined) return undefined
  const id = `${event.runId}:${event.seq}`
  const seq = event.startedAt.getTime() * PER_MS + event.seq
  const method = methodOf(name.channel)
  const head = JSON.stringify({ type: 'event', event_id: id, seq, method })
  return { id, seq, method, ...name, json: `${head.slice(0, -1)},"params":${event.data}}` }
}

/** The frames after `since` that match, and then those that come; `null` whenever `idleMs` passed without one. */
export async function* followThread(
  ports: ThreadPorts,
  place: { threadId: string; filter: FrameFilter; since: number; idleMs: number; signal: AbortSignal },
): AsyncGenerator<ThreadFrame[] | null> {
  const { threadId, filter, since, idleMs, signal } = place
  const reader = readThread(ports, threadId)
  let sentAt = performance.now()
  try {
    while (!signal.aborted) {
      const batch = await reader.read()
      const wanted = batch?.filter((frame) => frame.seq > since && matches(frame, filter)) ?? []
      if (wanted.length > 0) {
        yield wanted
        sentAt = performance.now()
      } else if (performance.now() - sentAt >= idleMs) {
        yield null
        sentAt = performance.now()
      }
      if (batch === undefined) await reader.news({ timeoutMs: idleMs, signal })
    }
  } finally {
    reader.close()
  }
}

/** As the clients themselves match: see `matchesSubscription` in @langchain/langgraph-sdk. */
export function matches(frame: Pick<ThreadFrame, 'channel' | 'namespace'>, filter: FrameFilter): boolean {
  const { channels, namespaces, depth } = filter
  const custom = frame.channel.startsWith('custom:') && channels.includes('custom')
  if (!custom && !channels.includes(frame.channel)) return false
  if (namespaces === undefined || namespaces.length === 0)
    return depth === undefined || frame.namespace.length <= depth
  return namespaces.some(
    (prefix) =>
      prefix.length <= frame.namespace.length &&
      prefix.every((segment, index) => isSegment(frame.namespace[index] ?? '', segment)) &&
      (depth === undefined || frame.namespace.length - prefix.length <= depth),
  )
}

/** A filter may leave the task's id out. */
function isSegment(segment: string, wanted: string): boolean {
  return segment === wanted || (!wanted.includes(':') && segment.split(':', 1)[0] === wanted)
}

/** The position of the last event that is committed; 0 where there is none. */
export async function positionOf(events: EventLog, threadId: string): Promise<number> {
  const run = await events.lastRun(threadId)
  if (run === undefined) return 0
  const last = await events.last(threadId, run.runId)
  return run.startedAt.getTime() * PER_MS + (last?.seq ?? 0)
}
