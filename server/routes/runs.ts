import { z } from 'zod'
import { RuntimeError } from '../../runtime/errors.ts'
import { awaitRun, followRun, type FollowPorts } from '../../runtime/follow.ts'
import type { Json } from '../../runtime/json.ts'
import type { Run as RuntimeRun, RunConfig } from '../../runtime/run.ts'
import { startRun, type StartPorts } from '../../runtime/start-run.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import type { Admission } from '../overload.ts'
import { json, paged } from '../reply.ts'
import { Run, RunCancel, RunCreate, RunJoin, RunList, RunParams, Text, ThreadParams } from '../schemas.ts'
import { HEARTBEAT_MS, sseResponse } from '../sse.ts'
import { findThread } from './threads.ts'

/** How often a waiting client gets a line break, so that nothing between takes the connection for dead. */
const KEEP_ALIVE_MS = 1_000

export type RunPorts = StartPorts & FollowPorts & { admission: Admission; closing: AbortSignal }

const NOT_FOUND = { 404: { description: 'No such thread, run or assistant' } }
const REFUSED = {
  409: { description: 'The thread is busy or held' },
  422: { description: 'The request makes no sense' },
}
const EVENTS = { 200: { description: 'The run, as server-sent events', type: 'text/event-stream' } }
const VALUES = {
  200: { description: 'The final values, or {"__error__": {error, message}}', schema: z.unknown() },
}

export function runRoutes(ports: RunPorts): Endpoint[] {
  const create = { method: 'post', tag: 'Runs', params: ThreadParams, body: RunCreate } as const
  return [
    endpoint({
      ...create,
      path: '/threads/:thread_id/runs',
      summary: 'Start a run in the background',
      answers: { 200: { description: 'The run', schema: Run }, ...NOT_FOUND, ...REFUSED },
      async handle(c, { params, body }) {
        const run = await admitRun(ports, startOf(params.thread_id, body))
        c.header('Content-Location', `/threads/${run.thread_id}/runs/${run.run_id}`)
        return json(c, run)
      },
    }),
    endpoint({
      ...create,
      path: '/threads/:thread_id/runs/stream',
      summary: 'Start a run and stream its events',
      answers: { ...EVENTS, ...NOT_FOUND, ...REFUSED },
      async handle(_c, { params, body }) {
        const close = ports.admission.stream()
        const run = await admitRun(ports, startOf(params.thread_id, body)).catch((error: unknown) => {
          close()
          throw error
        })
        return streamRun(ports, run, { after: -1, cancel: body.on_disconnect === 'cancel', close })
      },
    }),
    endpoint({
      ...create,
      path: '/threads/:thread_id/runs/wait',
      summary: 'Start a run and wait for its end',
      answers: { ...VALUES, ...NOT_FOUND, ...REFUSED },
      async handle(_c, { params, body }) {
        const run = await admitRun(ports, startOf(params.thread_id, body))
        return waitForRun(ports, run, body.on_disconnect === 'cancel')
      },
    }),
    ...runReads(ports),
    ...runChanges(ports),
  ]
}

function runReads(ports: RunPorts): Endpoint[] {
  const one = { method: 'get', tag: 'Runs', params: RunParams } as const
  return [
    endpoint({
      method: 'get',
      path: '/threads/:thread_id/runs',
      tag: 'Runs',
      summary: "List a thread's runs, newest first",
      params: ThreadParams,
      query: RunList,
      answers: { 200: { description: 'A page of runs', schema: z.array(Run) }, ...NOT_FOUND },
      async handle(c, { params, query }) {
        await findThread(ports.threads, params.thread_id)
        const { status, ...page } = query
        return paged(
          c,
          await ports.runs.list(params.thread_id, { ...page, ...(status ? { status } : {}) }),
          page,
        )
      },
    }),
    endpoint({
      ...one,
      path: '/threads/:thread_id/runs/:run_id',
      summary: 'Get a run',
      answers: { 200: { description: 'The run', schema: Run }, ...NOT_FOUND },
      handle: async (c, { params }) => json(c, await findRun(ports, params)),
    }),
    endpoint({
      ...one,
      path: '/threads/:thread_id/runs/:run_id/join',
      summary: "Wait for a run's end",
      query: RunJoin,
      answers: { ...VALUES, ...NOT_FOUND },
      handle: async (_c, { params, query }) =>
        waitForRun(ports, await findRun(ports, params), query.cancel_on_disconnect),
    }),
    endpoint({
      ...one,
      path: '/threads/:thread_id/runs/:run_id/stream',
      summary: "A run's events, from the beginning or after Last-Event-ID",
      query: RunJoin.extend({ stream_mode: z.string().max(200).optional() }),
      answers: { ...EVENTS, ...NOT_FOUND },
      async handle(c, { params, query }) {
        const after = lastEventId(c.req.header('last-event-id'))
        const run = await findRun(ports, params)
        return streamRun(ports, run, {
          after,
          cancel: query.cancel_on_disconnect,
          close: ports.admission.stream(),
        })
      },
    }),
  ]
}

function runChanges(ports: RunPorts): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/threads/:thread_id/runs/:run_id/cancel',
      tag: 'Runs',
      summary: 'Cancel a run; with action=rollback also its checkpoints',
      params: RunParams,
      query: RunCancel,
      answers: {
        202: { description: 'It is being cancelled' },
        204: { description: 'It has ended' },
        ...NOT_FOUND,
      },
      async handle(c, { params, query }) {
        const run = await findRun(ports, params)
        await ports.runs.cancel(run.thread_id, run.run_id, query.action)
        if (!query.wait) return c.body(null, 202)
        const place = {
          threadId: run.thread_id,
          runId: run.run_id,
          idleMs: KEEP_ALIVE_MS,
          signal: c.req.raw.signal,
        }
        await awaitRun(ports, place, async () => {})
        return c.body(null, 204)
      },
    }),
    endpoint({
      method: 'post',
      path: '/threads/:thread_id/runs/:run_id/redrive',
      tag: 'Runs',
      summary: 'Let a failed run go on from its last checkpoint',
      params: RunParams,
      answers: { 202: { description: 'The run, queued again', schema: Run }, ...NOT_FOUND, ...REFUSED },
      async handle(c, { params }) {
        await findRun(ports, params)
        const run = await ports.runs.redrive(params.thread_id, params.run_id)
        if (run) return json(c, run, 202)
        throw new RuntimeError(
          'thread_busy',
          'Only the last run of a thread can be tried again, and only after it failed.',
        )
      },
    }),
    endpoint({
      method: 'delete',
      path: '/threads/:thread_id/runs/:run_id',
      tag: 'Runs',
      summary: 'Delete a run that is not running',
      params: RunParams,
      answers: { 204: { description: 'Deleted' }, ...NOT_FOUND, ...REFUSED },
      async handle(c, { params }) {
        await findRun(ports, params)
        await ports.runs.delete(params.thread_id, params.run_id)
        return c.body(null, 204)
      },
    }),
  ]
}

async function findRun(
  { runs }: RunPorts,
  { thread_id, run_id }: z.output<typeof RunParams>,
): Promise<RuntimeRun> {
  const run = await runs.get(thread_id, run_id)
  if (run === undefined) throw new RuntimeError('run_not_found', 'Run not found')
  return run
}

async function admitRun(ports: RunPorts, start: Parameters<typeof startRun>[1]): Promise<RuntimeRun> {
  await ports.admission.run()
  return await startRun(ports, start)
}

interface StreamOptions {
  after: number
  /** Whether the run ends with its reader. */
  cancel: boolean
  /** Called once the stream is over. */
  close: () => void
}

function streamRun(ports: RunPorts, run: RuntimeRun, { after, cancel, close }: StreamOptions): Response {
  const gone = new AbortController()
  const path = `/threads/${run.thread_id}/runs/${run.run_id}`
  const place = {
    threadId: run.thread_id,
    runId: run.run_id,
    after,
    idleMs: HEARTBEAT_MS,
    signal: gone.signal,
  }
  return sseResponse(followRun(ports, place), {
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

function waitForRun(ports: RunPorts, run: RuntimeRun, cancelOnDisconnect: boolean): Response {
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
      'Content-Location': `/threads/${run.thread_id}/runs/${run.run_id}`,
    },
  })
}

/** The client has gone, so there is nobody to tell when this fails. */
function cancelLater(ports: RunPorts, run: RuntimeRun): void {
  ports.runs.cancel(run.thread_id, run.run_id, 'interrupt').catch(() => {})
}

function lastEventId(header: string | undefined): number {
  if (header === undefined || header === '' || header === '-') return -1
  const id = Number(header)
  if (Number.isSafeInteger(id) && id >= -1 && id < 2 ** 31) return id
  throw new RuntimeError(
    'invalid_input',
    'Last-Event-ID must be the id of an event of this run, or -1 for all.',
  )
}

function startOf(threadId: string, body: RunCreate): Parameters<typeof startRun>[1] {
  const { configurable, tags, recursion_limit } = body.config ?? {}
  const modes = body.stream_mode ?? 'values'
  return {
    threadId,
    assistantId: body.assistant_id,
    request: {
      input: body.input ?? null,
      command: commandOf(body),
      config: {
        configurable: clientConfigurable(configurable ?? {}),
        ...(tags == null ? {} : { tags }),
        ...(recursion_limit == null ? {} : { recursion_limit }),
      } satisfies RunConfig,
      context: body.context ?? {},
      checkpoint: checkpointOf(body),
      interrupt_before: body.interrupt_before ?? null,
      interrupt_after: body.interrupt_after ?? null,
      stream_mode: [...new Set(Array.isArray(modes) ? modes : [modes])],
      stream_subgraphs: body.stream_subgraphs ?? false,
      stream_resumable: body.stream_resumable ?? false,
      // The protocol's default is `async`. Ours is the one that loses nothing when a worker dies.
      durability: body.durability ?? 'sync',
      on_disconnect: body.on_disconnect ?? 'continue',
    },
    metadata: body.metadata ?? {},
    multitaskStrategy: body.multitask_strategy ?? 'enqueue',
    afterSeconds: body.after_seconds ?? 0,
    createThread: body.if_not_exists === 'create',
  }
}

function commandOf({ command, input }: RunCreate): Parameters<typeof startRun>[1]['request']['command'] {
  if (command == null) return null
  const { resume, update, goto } = command
  const given = {
    ...(resume === undefined ? {} : { resume }),
    ...(update == null ? {} : { update }),
    ...(goto == null ? {} : { goto }),
  }
  if (Object.keys(given).length === 0) return null
  if (input != null) throw new RuntimeError('invalid_input', 'A run takes an input or a command, not both.')
  return given
}

function checkpointOf({
  checkpoint,
  checkpoint_id,
  config,
}: RunCreate): { checkpoint_id: string; checkpoint_ns?: string } | null {
  const fromConfig = Text(200).safeParse(config?.configurable?.['checkpoint_id']).data
  const id = checkpoint?.checkpoint_id ?? checkpoint_id ?? fromConfig
  if (id == null) return null
  const ns = checkpoint?.checkpoint_ns
  return { checkpoint_id: id, ...(ns == null || ns === '' ? {} : { checkpoint_ns: ns }) }
}

const OURS = new Set([
  'thread_id',
  'run_id',
  'assistant_id',
  'graph_id',
  'checkpoint_id',
  'checkpoint_ns',
  'checkpoint_map',
])

/** A client's configuration without what says where and as whom the run runs, and without LangGraph's internals. */
function clientConfigurable(configurable: Record<string, Json>): Record<string, Json> {
  return Object.fromEntries(
    Object.entries(configurable).filter(([key]) => !OURS.has(key) && !key.startsWith('__')),
  )
}
