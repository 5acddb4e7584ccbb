import { z } from 'zod'
import { RuntimeError } from '../../runtime/errors.ts'
import { newId } from '../../runtime/ids.ts'
import type { Run as RuntimeRun } from '../../runtime/run.ts'
import { findAssistant, type StartRequest } from '../../runtime/start-run.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json } from '../reply.ts'
import { startOf } from '../run-request.ts'
import { admitRun, lastEventId, modesOf, type RunPorts, streamRun, waitForRun } from '../run-streams.ts'
import { Run, RunBatch, RunCancelMany, RunJoin, StatelessRunCreate, StatelessRunParams } from '../schemas.ts'

const NOT_FOUND = { 404: { description: 'No such assistant or run' } }
const REFUSED = { 422: { description: 'The request makes no sense' } }

/** Runs without a thread that anybody named: each gets one of its own, which goes away after it. */
export function statelessRoutes(ports: RunPorts): Endpoint[] {
  const create = { method: 'post', tag: 'Stateless runs', body: StatelessRunCreate } as const
  return [
    endpoint({
      ...create,
      path: '/runs',
      summary: 'Start a run on a thread of its own',
      answers: { 200: { description: 'The run', schema: Run }, ...NOT_FOUND, ...REFUSED },
      async handle(c, { body }) {
        const run = await admitRun(ports, statelessOf(body))
        c.header('Content-Location', pathOf(run))
        return json(c, run)
      },
    }),
    endpoint({
      ...create,
      path: '/runs/stream',
      summary: 'Start a run on a thread of its own and stream its events',
      answers: {
        200: { description: 'The run, as server-sent events', type: 'text/event-stream' },
        ...NOT_FOUND,
        ...REFUSED,
      },
      async handle(_c, { body }) {
        const close = ports.admission.stream()
        const run = await admitRun(ports, statelessOf(body)).catch((error: unknown) => {
          close()
          throw error
        })
        const cancel = body.on_disconnect === 'cancel'
        return streamRun(ports, run, { path: pathOf(run), after: -1, cancel, close })
      },
    }),
    endpoint({
      ...create,
      path: '/runs/wait',
      summary: 'Start a run on a thread of its own and wait for its end',
      answers: {
        200: { description: 'The final values, or {"__error__": {error, message}}', schema: z.unknown() },
        ...NOT_FOUND,
        ...REFUSED,
      },
      async handle(_c, { body }) {
        const run = await admitRun(ports, statelessOf(body))
        return waitForRun(ports, run, { path: pathOf(run), cancel: body.on_disconnect === 'cancel' })
      },
    }),
    endpoint({
      method: 'post',
      path: '/runs/batch',
      tag: 'Stateless runs',
      summary: 'Start several runs, each on a thread of its own',
      body: RunBatch,
      answers: { 200: { description: 'The runs', schema: z.array(Run) }, ...NOT_FOUND, ...REFUSED },
      async handle(c, { body }) {
        const starts = body.map(statelessOf)
        // All are read before the first is started: what is refused for one is refused for all.
        for (const id of new Set(starts.map(({ assistantId }) => assistantId)))
          await findAssistant(ports.assistants, id)
        const runs: RuntimeRun[] = []
        for (const start of starts) runs.push(await admitRun(ports, start))
        return json(c, runs)
      },
    }),
    ...overThreads(ports),
  ]
}

function overThreads(ports: RunPorts): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/runs/cancel',
      tag: 'Runs',
      summary: "Cancel some of a thread's runs, or all of a status",
      query: z.object({ action: z.enum(['interrupt', 'rollback']).default('interrupt') }),
      body: RunCancelMany,
      answers: { 204: { description: 'They are being cancelled' }, ...NOT_FOUND, ...REFUSED },
      async handle(c, { query, body }) {
        const { thread_id: threadId, run_ids: runIds, status } = body
        const found = await ports.runs.active({
          ...(threadId == null ? {} : { threadId }),
          ...(runIds == null ? {} : { runIds }),
          ...(status == null || status === 'all' ? {} : { status }),
        })
        for (const { thread_id, run_id } of found) await ports.runs.cancel(thread_id, run_id, query.action)
        return c.body(null, 204)
      },
    }),
    endpoint({
      method: 'get',
      path: '/runs/:run_id/stream',
      tag: 'Stateless runs',
      summary: "A stateless run's events, from the beginning or after Last-Event-ID",
      params: StatelessRunParams,
      query: RunJoin.extend({ stream_mode: z.string().max(200).optional() }),
      answers: {
        200: { description: 'The run, as server-sent events', type: 'text/event-stream' },
        ...NOT_FOUND,
      },
      async handle(c, { params, query }) {
        const after = lastEventId(c.req.header('last-event-id'))
        const only = modesOf(query.stream_mode)
        const run = await ports.runs.find(params.run_id)
        if (run === undefined) throw new RuntimeError('run_not_found', 'Run not found')
        return streamRun(ports, run, {
          path: pathOf(run),
          only,
          after,
          cancel: query.cancel_on_disconnect,
          close: ports.admission.stream(),
        })
      },
    }),
  ]
}

function pathOf(run: RuntimeRun): string {
  return `/runs/${run.run_id}`
}

function statelessOf(body: StatelessRunCreate): StartRequest {
  if (body.command?.resume !== undefined) {
    throw new RuntimeError('invalid_input', 'A run without a thread has nothing to resume. Name the thread.')
  }
  const createThread = body.on_completion === 'keep' ? true : 'temporary'
  return { ...startOf(newId(), body), createThread }
}
