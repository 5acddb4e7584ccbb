import type { EventLog } from './ports.ts'
import { frameName, legacyFrame, lifecycleEnd, methodOf } from './protocol.ts'
import {
  lastEventOf,
  positionIn,
  readThread,
  type ThreadEvent,
  type ThreadPorts,
  type ThreadReader,
} from './thread-events.ts'

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

/** All frames of the thread, from its first run on. */
export function readFrames(ports: ThreadPorts, threadId: string): ThreadReader<ThreadFrame> {
  return readThread(ports, threadId, toFrame)
}

function toFrame(told: ThreadEvent): ThreadFrame | undefined {
  const event = { ...told, ...(told.cut ? lifecycleEnd('interrupted') : told.v2 ? {} : legacyFrame(told)) }
  const name = frameName(event.event)
  if (name === undefined) return undefined
  const id = `${event.runId}:${event.seq}`
  const seq = positionIn(event)
  const method = methodOf(name.channel)
  const head = JSON.stringify({ type: 'event', event_id: id, seq, method })
  return { id, seq, method, ...name, json: `${head.slice(0, -1)},"params":${event.data}}` }
}

/** The frames after `since` that match, and then those that come; `null` whenever `idleMs` passed without one. */
export async function* followThread(
  ports: ThreadPorts,
  place: {
    threadId: string
    filter: FrameFilter
    since: number
    idleMs: number
    signal: AbortSignal
    /** Asked once more before the first frame: the thread may not have been there before. Throws where it is not. */
    permitted: () => Promise<void>
  },
): AsyncGenerator<ThreadFrame[] | null> {
  const { threadId, filter, since, idleMs, signal, permitted } = place
  let asked = false
  const reader = readFrames(ports, threadId)
  let sentAt = performance.now()
  try {
    while (!signal.aborted) {
      const batch = await reader.read()
      const wanted = batch?.filter((frame) => frame.seq > since && matches(frame, filter)) ?? []
      if (wanted.length > 0) {
        if (!asked) await permitted()
        asked = true
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
  const last = await lastEventOf(events, threadId)
  return last === undefined ? 0 : positionIn(last)
}

/**
 * The position of the frame with this id; −1 where its run is gone: then everything is sent again, and ids tell what
 * is known. `undefined` where it is no id of a frame.
 */
export async function positionOfFrame(
  events: EventLog,
  threadId: string,
  id: string,
): Promise<number | undefined> {
  const [, runId, seq] = /^([0-9a-f-]{36}):(\d{1,10})$/.exec(id) ?? []
  if (runId === undefined) return undefined
  for (let run = await events.nextRun(threadId, undefined); run; run = await events.nextRun(threadId, run))
    if (run.runId === runId) return positionIn({ startedAt: run.startedAt, seq: Number(seq) })
  return -1
}
