import { RuntimeError } from '../runtime/errors.ts'
import type { RunEvent } from '../runtime/event.ts'
import { awaitRun, followRun, type FollowPorts } from '../runtime/follow.ts'
import { isStreamMode, type Run, type StreamMode } from '../runtime/run.ts'
import { startRun, type StartPorts, type StartRequest } from '../runtime/start-run.ts'
import type { Admission } from './overload.ts'
import { HEARTBEAT_MS, sseResponse } from './sse.ts'

/** How often a waiting client gets a line break, so that nothing between takes the connection for dead. */
export const KEEP_ALIVE_MS = 1_000

export type RunPorts = StartPorts & FollowPorts & { admission: Admission; closing: AbortSignal }

export async function admitRun(ports: RunPorts, start: StartRequest): Promise<Run> {
  await ports.admission.run()
  return await startRun(ports, start)
}

export interface StreamOptions {
  /** Where clients find the run: of a thread, or by itself. */
  path: string
  /** Of the run's events only these modes'; unset: all. */
  only?: StreamMode[] | undefined
  after: number
  /** Whether the run ends with its reader. */
  cancel: boolean
  /** Called once the stream is over. */
  close: () => void
}

export function streamRun(
  ports: RunPorts,
  run: Run,
  { path, only, after, cancel, close }: StreamOptions,
): Response {
  const gone = new AbortController()
  const place = {
    threadId: run.thread_id,
    runId: run.run_id,
    after,
    idleMs: HEARTBEAT_MS,
    signal: gone.signal,
  }
  const events = followRun(ports, place)
  return sseResponse(only === undefined ? events : ofModes(events, only), {
    // With `Location` the official SDK comes back with Last-Event-ID when its connection breaks.
    headers: { 'Content-Location': path, Location: `${path}/stream` },
    closing: ports.closing,
    onEnd: close,
    onAbort() {
      gone.abort()
      if (cancel) cancelLater(ports, run)
    },
  })
}

export function waitForRun(
  ports: RunPorts,
  run: Run,
  { path, cancel: cancelOnDisconnect }: { path: string; cancel: boolean },
): Response {
  const gone = new AbortController()
  const encoder = new TextEncoder()
  const place = { threadId: run.thread_id, runId: run.run_id, idleMs: KEEP_ALIVE_MS, signal: gone.signal }
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      const values = await awaitRun(ports, place, async () => controller.enqueue(encoder.encode('\n')))
      if (gone.signal.aborted) return
      controller.enqueue(encoder.encode(values))
      controller.close()
    },
    cancel() {
      gone.abort()
      if (cancelOnDisconnect) cancelLater(ports, run)
    },
  })
  return new Response(body, {
    headers: {
      'Content-Type': 'application/json',
      'Content-Location': path,
    },
  })
}

/** The client has gone, so there is nobody to tell when this fails. */
function cancelLater(ports: RunPorts, run: Run): void {
  ports.runs.cancel(run.thread_id, run.run_id, 'interrupt').catch(() => {})
}

export function pathOf(run: Run): string {
  return `/threads/${run.thread_id}/runs/${run.run_id}`
}

/** Of each batch the events of those modes, and those that tell of the run itself. */
async function* ofModes(
  batches: AsyncGenerator<RunEvent[] | null>,
  only: StreamMode[],
): AsyncGenerator<RunEvent[] | null> {
  const wanted = new Set<string>([...only, 'metadata', 'error'])
  for await (const batch of batches)
    yield batch && batch.filter(({ event }) => wanted.has(modeOf(event.split('|', 1)[0] ?? '')))
}

function modeOf(event: string): string {
  if (event.startsWith('messages/')) return 'messages'
  return event === 'messages' ? 'messages-tuple' : event
}

/** The `stream_mode` of a query: names separated by commas, or a JSON list as some clients send it. */
export function modesOf(text: string | undefined): StreamMode[] | undefined {
  if (text === undefined || text === '') return undefined
  const names = text.replaceAll(/[[\]"\s]/g, '').split(',')
  const unknown = names.filter((name) => !isStreamMode(name))
  if (unknown.length === 0) return names.filter(isStreamMode)
  throw new RuntimeError('invalid_input', `There is no stream mode ${unknown.join(', ')}.`)
}

export function lastEventId(header: string | undefined): number {
  if (header === undefined || header === '' || header === '-') return -1
  const id = Number(header)
  if (Number.isSafeInteger(id) && id >= -1 && id < 2 ** 31) return id
  throw new RuntimeError(
    'invalid_input',
    'Last-Event-ID must be the id of an event of this run, or -1 for all.',
  )
}
