import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'
import { RuntimeError } from '../../runtime/errors.ts'
import { followThread, positionOfFrame, type ThreadFrame } from '../../runtime/follow-thread.ts'
import { answerCommand, checkRead, type CommandPorts, Envelope } from '../commands.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { ThreadParams } from '../schemas/threads.ts'
import { HEARTBEAT_MS, type SseEvent, sseResponse } from '../sse.ts'

/** What a subscription wants; on a WebSocket its command's `params`, else the body. Other keys are allowed. */
export const Filter = z
  .looseObject({
    channels: z.array(z.string().min(1).max(200)).min(1).max(100),
    namespaces: z
      .array(z.array(z.string().max(2_000)).max(100))
      .max(100)
      .nullish(),
    depth: z.number().int().nonnegative().nullish(),
    since: z.number().int().nonnegative().nullish(),
  })
  .meta({ examples: [{ channels: ['lifecycle', 'values'] }] })

export function filterOf({ channels, namespaces, depth }: z.output<typeof Filter>) {
  return { channels, namespaces: namespaces ?? undefined, depth: depth ?? undefined }
}

/** Event streaming v2, by HTTP. */
export function protocolRoutes(ports: CommandPorts): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/threads/:thread_id/commands',
      tag: 'Event streaming',
      access: 'own',
      summary: 'Start a run, answer an interrupt, read the state: a command of event streaming v2',
      params: ThreadParams,
      body: z.json().meta({ examples: [{ id: 1, method: 'state.get', params: {} }] }),
      answers: {
        200: { description: 'The result, or the error of the command', schema: z.unknown() },
        400: { description: 'No command: an id, a method and params' },
        404: { description: 'No such assistant' },
      },
      async handle(c, { params, body }, { caller, headers }) {
        const envelope = Envelope.safeParse(body)
        if (!envelope.success)
          throw new HTTPException(400, { message: 'Send {"id": number, "method": text, "params": object}.' })
        const answer = await answerCommand(ports, params.thread_id, envelope.data, { caller, headers })
        return c.body(answer, 200, { 'Content-Type': 'application/json' })
      },
    }),
    endpoint({
      method: 'post',
      path: '/threads/:thread_id/stream/events',
      tag: 'Event streaming',
      access: 'own',
      summary: 'All runs of a thread, past and to come, as the frames of event streaming v2',
      params: ThreadParams,
      body: Filter,
      answers: {
        200: { description: 'Server-sent events, until the client goes', type: 'text/event-stream' },
        422: { description: 'The filter, or Last-Event-ID, makes no sense' },
      },
      async handle(c, { params, body }, { caller }) {
        await checkRead(ports, params.thread_id, caller)
        const since =
          body.since ?? (await positionAfter(ports, params.thread_id, c.req.header('last-event-id')))
        const close = ports.admission.stream()
        const gone = new AbortController()
        const frames = followThread(ports, {
          threadId: params.thread_id,
          filter: filterOf(body),
          since,
          idleMs: HEARTBEAT_MS,
          permitted: () => checkRead(ports, params.thread_id, caller),
          signal: gone.signal,
        })
        return sseResponse(asEvents(frames), {
          headers: {},
          closing: ports.closing,
          onEnd: close,
          onAbort: () => gone.abort(),
        })
      },
    }),
  ]
}

/** As browsers come back: with the id of the last frame that they have. */
async function positionAfter(
  { events }: CommandPorts,
  threadId: string,
  id: string | undefined,
): Promise<number> {
  if (id === undefined || id === '' || id === '-' || id === '-1') return -1
  const position = await positionOfFrame(events, threadId, id)
  if (position !== undefined) return position
  throw new RuntimeError(
    'invalid_input',
    'Last-Event-ID must be the event_id of a frame of this thread, or - for all.',
  )
}

async function* asEvents(batches: AsyncGenerator<ThreadFrame[] | null>): AsyncGenerator<SseEvent[] | null> {
  // The client need not wait for its first frame to know that it is connected.
  yield null
  for await (const batch of batches)
    yield batch && batch.map(({ method, json, id }) => ({ event: method, data: json, seq: id }))
}
