import type { Caller } from './auth.ts'

/** A stream of events, which ends for whoever is let in no longer. Other answers stay as they are. */
export function cutOff(response: Response, { connected }: Caller): Response {
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
  if (connected === undefined || response.body === null || !isStream) return response
  const reader = response.body.getReader()
  let leave = () => {}
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        leave = connected(() => {
          leave()
          // As at its end: a client that comes back is told why it may not.
          controller.close()
          void reader.cancel()
        })
      },
      async pull(controller) {
        const { value, done } = await reader.read()
        if (!done) return controller.enqueue(value)
        leave()
        controller.close()
      },
      async cancel() {
        leave()
        await reader.cancel()
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, response)
}
