import type { RunEvent } from '../runtime/event.ts'

/** Clients arm their idle detection by these comments, and proxies keep the connection open. */
export const HEARTBEAT_MS = 5_000

const RETRY_MS = 500

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  Connection: 'keep-alive',
  // Said in so many words, or the HTTP adapter waits a moment for whether the whole answer is there already.
  'Transfer-Encoding': 'chunked',
  // nginx would otherwise keep everything back until the end.
  'X-Accel-Buffering': 'no',
}

/** What a stream would begin with: an answer without a body has no reader that could end it. */
export function sseHead(headers: Record<string, string> = {}): Response {
  return new Response(null, { headers: { ...HEADERS, ...headers } })
}

/** `seq` is the SSE `id`. */
export type SseEvent = Omit<RunEvent, 'seq'> & { seq: number | string }

export interface SseOptions {
  headers: Record<string, string>
  /** The client went away before the end. */
  onAbort: () => void
  /** In any case, once. */
  onEnd: () => void
  /** Aborted when the server is about to stop. */
  closing: AbortSignal
}

/**
 * Server-sent events from batches; `null` is a heartbeat. A reader that is slow is not read ahead for: the next batch
 * is fetched when it has taken the last. `onAbort` is called when the client goes away before the end.
 */
export function sseResponse(
  batches: AsyncGenerator<SseEvent[] | null>,
  { headers, onAbort, onEnd, closing }: SseOptions,
): Response {
  const encoder = new TextEncoder()
  let stopping = () => {}
  let open = true
  // Once, whichever comes first: its end, a reader that goes, a database that does not answer.
  const end = () => {
    if (!open) return
    open = false
    closing.removeEventListener('abort', stopping)
    onEnd()
  }
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        // The connection is about to be cut: readers come back to another server, and not all in the same moment.
        stopping = () =>
          controller.enqueue(encoder.encode(`retry: ${RETRY_MS + Math.round(Math.random() * RETRY_MS)}\n\n`))
        closing.addEventListener('abort', stopping, { once: true })
      },
      async pull(controller) {
        const { value, done } = await batches.next().catch((error: unknown) => {
          end()
          throw error
        })
        if (done === true) {
          end()
          controller.close()
        } else
          controller.enqueue(encoder.encode(value === null ? ': heartbeat\n\n' : value.map(frame).join('')))
      },
      async cancel() {
        end()
        onAbort()
        await batches.return(null)
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, { headers: { ...HEADERS, ...headers } })
}

function frame({ event, data, seq }: SseEvent): string {
  // A node may be named anything; a line break would begin a field of its own.
  return `event: ${event.replaceAll(/[\r\n]/g, ' ')}\ndata: ${data}\nid: ${seq}\n\n`
}
