import { END_EVENT } from './event.ts'
import { encode } from './json.ts'
import type { Threads } from './ports.ts'
import { frameName } from './protocol.ts'
import { lastEventOf, positionIn, readThread, type ThreadEvent, type ThreadPorts } from './thread-events.ts'

/** What a reader of a thread wants: its runs' own events, their beginnings and ends, changes of its state. */
export const JOIN_MODES = ['run_modes', 'lifecycle', 'state_update'] as const
export type JoinMode = (typeof JOIN_MODES)[number]

/** `seq` is the event's position in the thread. */
export interface JoinedEvent {
  event: string
  data: string
  seq: number
}

/**
 * The events of all runs of a thread, those to come too: what each run's client asked for, with `metadata` before and
 * after. `since`: after that position; unset: from now on. Yields `null` whenever `idleMs` passed without an event.
 */
export async function* joinThread(
  ports: ThreadPorts & { threads: Threads },
  place: {
    threadId: string
    modes: JoinMode[]
    since: number | undefined
    idleMs: number
    signal: AbortSignal
  },
): AsyncGenerator<JoinedEvent[] | null> {
  const { threadId, modes, since, idleMs, signal } = place
  const from = since === undefined ? await lastEventOf(ports.events, threadId) : undefined
  const reader = readThread(ports, threadId, (event) => toJoined(event, modes), from)
  const states = modes.includes('state_update') ? stateChanges(ports.threads, threadId) : undefined
  let position = since ?? (from === undefined ? -1 : positionIn(from))
  let sentAt = performance.now()
  try {
    await states?.next()
    yield null
    while (!signal.aborted) {
      const batch = await reader.read()
      const fresh = batch?.filter(({ seq }) => seq > position) ?? []
      position = fresh.at(-1)?.seq ?? position
      const state = batch === undefined ? (await states?.next())?.value : undefined
      const wanted = [...fresh, ...(state === undefined ? [] : [{ ...state, seq: position }])]
      if (wanted.length > 0) yield wanted
      else if (performance.now() - sentAt >= idleMs) yield null
      else {
        if (batch === undefined) await reader.news({ timeoutMs: idleMs, signal })
        continue
      }
      sentAt = performance.now()
    }
  } finally {
    reader.close()
  }
}

function toJoined(event: ThreadEvent, modes: JoinMode[]): JoinedEvent | undefined {
  const seq = positionIn(event)
  if (event.event === END_EVENT) {
    const data = encode({ run_id: event.runId, status: 'run_done' })
    return modes.includes('run_modes') || modes.includes('lifecycle')
      ? { event: 'metadata', data, seq }
      : undefined
  }
  if (frameName(event.event) !== undefined) return undefined
  const begins = event.event === 'metadata' && modes.includes('lifecycle')
  return begins || modes.includes('run_modes') ? { event: event.event, data: event.data, seq } : undefined
}

/** The thread's state each time that it is another than before; `undefined` where it is not. */
async function* stateChanges(
  threads: Threads,
  threadId: string,
): AsyncGenerator<{ event: string; data: string } | undefined> {
  let known = (await threads.get(threadId))?.state_updated_at
  for (;;) {
    yield undefined
    const thread = await threads.get(threadId)
    while (thread !== undefined && thread.state_updated_at !== known) {
      known = thread.state_updated_at
      const { status, values, interrupts } = thread
      yield { event: 'state_update', data: encode({ thread_id: threadId, status, values, interrupts }) }
    }
  }
}
