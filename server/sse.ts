import type { RunEvent } from '../runtime/event.ts'

/** Clients arm their idle detection by these comments, and proxies keep the connection open. */
export const HEARTBEAT_MS = 5_000

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  Connection: 'keep-alive',
  // nginx would otherwise keep everything back until the end.
  'X-Accel-Buffering': 'no',
}

/**
 * Server-sent events from batches; `null` is a heartbeat. A reader that is slow is not read ahead for: the next batch
 * is fetched when it has taken the last. `onAbort` is called when the client goes away before the end.
 */
export function sseResponse(
  batches: AsyncGenerator<RunEvent[] | null>,
  { headers, onAbort }: { headers: Record<string, string>; onAbort: () => void },
): Response {
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await batches.next()
        if (done === true) controller.close()
        else
          controller.enqueue(encoder.encode(value === null ? ': heartbeat\n\n' : value.map(frame).join('')))
      },
      async cancel() {
        onAbort()
        await batches.return(null)
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, { headers: { ...HEADERS, ...headers } })
}

function frame({ event, data, seq }: RunEvent): string {
  // A node may be named anything; a line break would begin a field of its own.
  return `event: ${event.replaceAll(/[\r\n]/g, ' ')}\ndata: ${data}\nid: ${seq}\n\n`
}
