import { RuntimeError } from '../../runtime/errors.ts'
import { JOIN_MODES, joinThread } from '../../runtime/join-thread.ts'
import type { Signals } from '../../runtime/ports.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import type { RunPorts } from '../run-streams.ts'
import { ThreadJoin, ThreadParams } from '../schemas/threads.ts'
import { HEARTBEAT_MS, sseHead, sseResponse } from '../sse.ts'
import { findThread } from './threads.ts'

export function threadStreamRoute(ports: RunPorts & { signals: Signals }): Endpoint {
  return endpoint({
    method: 'get',
    path: '/threads/:thread_id/stream',
    tag: 'Threads',
    access: 'threads:read',
    summary:
      'The events of all runs of a thread, from now on or after Last-Event-ID ("-": all), without an end',
    params: ThreadParams,
    query: ThreadJoin,
    queryLists: ['stream_mode', 'stream_modes'],
    answers: {
      200: { description: 'Server-sent events, until the client goes', type: 'text/event-stream' },
      404: { description: 'No such thread' },
    },
    async handle(c, { params, query }) {
      await findThread(ports.threads, params.thread_id)
      const since = positionAfter(c.req.header('last-event-id'))
      const modes = joinModesOf([query.stream_mode ?? [], query.stream_modes ?? []].flat().join(','))
      if (c.req.method === 'HEAD') return sseHead()
      const close = ports.admission.stream()
      const gone = new AbortController()
      const place = { threadId: params.thread_id, modes, since, idleMs: HEARTBEAT_MS, signal: gone.signal }
      return sseResponse(joinThread(ports, place), {
        headers: {},
        closing: ports.closing,
        onEnd: close,
        onAbort: () => gone.abort(),
      })
    },
  })
}

function positionAfter(header: string | undefined): number | undefined {
  if (header === undefined || header === '') return undefined
  if (header === '-' || header === '-1') return -1
  const position = Number(header)
  if (Number.isSafeInteger(position) && position >= 0) return position
  throw new RuntimeError(
    'invalid_input',
    'Last-Event-ID must be the id of an event of this thread, or - for all.',
  )
}

function joinModesOf(text: string) {
  if (text === '') return ['run_modes' as const]
  const names = text.replaceAll(/[[\]"\s]/g, '').split(',')
  const modes = JOIN_MODES.filter((mode) => names.includes(mode))
  if (names.every((name) => JOIN_MODES.some((mode) => mode === name))) return modes
  throw new RuntimeError('invalid_input', `stream_mode must be of ${JOIN_MODES.join(', ')}.`)
}
