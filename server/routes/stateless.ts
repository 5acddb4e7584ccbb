import { z } from 'zod'
import { restricts } from '../../runtime/allowed.ts'
import { RuntimeError } from '../../runtime/errors.ts'
import { newId } from '../../runtime/ids.ts'
import type { Run as RuntimeRun } from '../../runtime/run.ts'
import { findAssistant, type StartRequest } from '../../runtime/start-run.ts'
import { type Ask, type Endpoint, endpoint, mayRun } from '../endpoint.ts'
import { type Caller, nameOf } from '../auth.ts'
import { json } from '../reply.ts'
import { startOf } from '../run-request.ts'
import {
  admitRun,
  admitStream,
  checkCancels,
  headOfStream,
  lastEventId,
  modesOf,
  type RunPorts,
  streamRun,
  waitForRun,
} from '../run-streams.ts'
import {
  Run,
  RunBatch,
  RunCancelMany,
  RunJoin,
  StatelessRunCreate,
  StatelessRunParams,
} from '../schemas/runs.ts'

const NOT_FOUND = { 404: { description: 'No such assistant or run' } }
const REFUSED = { 422: { description: 'The request makes no sense' } }

/** Runs without a thread that anybody named: each gets one of its own, which goes away after it. */
export function statelessRoutes(ports: RunPorts): Endpoint[] {
  const create = { method: 'post', tag: 'Stateless runs', body: StatelessRunCreate } as const
  return [
    endpoint({
      ...create,
      path: '/runs',
      access: 'threads:create_run',
      summary: 'Start a run on a thread of its own',
      answers: { 200: { description: 'The run', schema: Run }, ...NOT_FOUND, ...REFUSED },
      async handle(c, { body }, ask) {
        const run = await admitRun(ports, ask.caller, statelessOf(body, ask))
        c.header('Content-Location', pathOf(run))
        return json(c, run)
      },
    }),
    endpoint({
      ...create,
      path: '/runs/stream',
      access: 'threads:create_run',
      summary: 'Start a run on a thread of its own and stream its events',
      answers: {
        200: { description: 'The run, as server-sent events', type: 'text/event-stream' },
        ...NOT_FOUND,
        ...REFUSED,
      },
      async handle(_c, { body }, ask) {
        const { run, close } = await admitStream(ports, ask.caller, statelessOf(body, ask))
        const cancel = body.on_disconnect === 'cancel'
        return streamRun(ports, run, { path: pathOf(run), after: -1, begins: true, cancel, close })
      },
    }),
    endpoint({
      ...create,
      path: '/runs/wait',
      access: 'threads:create_run',
      summary: 'Start a run on a thread of its own and wait for its end',
      answers: {
        200: { description: 'The final values, or {"__error__": {error, message}}', schema: z.unknown() },
        ...NOT_FOUND,
        ...REFUSED,
      },
      async handle(_c, { body }, ask) {
        const run = await admitRun(ports, ask.caller, statelessOf(body, ask))
        return waitForRun(ports, run, {
          path: pathOf(run),
          cancel: body.on_disconnect === 'cancel',
          begins: true,
        })
      },
    }),
    endpoint({
      method: 'post',
      path: '/runs/batch',
      tag: 'Stateless runs',
      access: 'own',
      summary: 'Start several runs, each on a thread of its own',
      body: RunBatch,
      answers: { 200: { description: 'The runs', schema: z.array(Run) }, ...NOT_FOUND, ...REFUSED },
      async handle(c, { body }, ask) {
        for (const one of body) await mayRun(ask.caller, one, {})
        const starts = body.map((one) => statelessOf(one, ask))
        // All are read before the first is started: what is refused for one is refused for all.
        for (const id of new Set(starts.map(({ assistantId }) => assistantId)))
          await findAssistant(ports.assistants, id)
        const runs: RuntimeRun[] = []
        for (const start of starts) runs.push(await admitRun(ports, ask.caller, start))
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
      access: 'threads:update',
      summary: "Cancel some of a thread's runs, or all of a status",
      query: z.object({ action: z.enum(['interrupt', 'rollback']).default('interrupt') }),
      body: RunCancelMany,
      answers: { 204: { description: 'They are being cancelled' }, ...NOT_FOUND, ...REFUSED },
      async handle(c, { query, body }, { allowed, caller }) {
        const { thread_id: threadId, run_ids: runIds, status } = body
        const found = await ports.runs.active({
          ...(threadId == null ? {} : { threadId }),
          ...(runIds == null ? {} : { runIds }),
          ...(status == null || status === 'all' ? {} : { status }),
          allowed,
        })
        for (const { thread_id, run_id } of found)
          await ports.runs.cancel(thread_id, run_id, query.action, nameOf(caller))
        return c.body(null, 204)
      },
    }),
    endpoint({
      method: 'get',
      path: '/runs/:run_id/stream',
      tag: 'Stateless runs',
      access: 'own',
      summary: "A stateless run's events, from the beginning or after Last-Event-ID",
      params: StatelessRunParams,
      query: RunJoin.extend({ stream_mode: z.string().max(200).optional() }),
      answers: {
        200: { description: 'The run, as server-sent events', type: 'text/event-stream' },
        ...NOT_FOUND,
      },
      async handle(c, { params, query }, { caller }) {
        const after = lastEventId(c.req.header('last-event-id'))
        const only = modesOf(query.stream_mode)
        const run = await ports.runs.find(params.run_id)
        // In the same words as of a run that there is not: its id says nothing of somebody else's thread.
        if (run === undefined || !(await mayRead(ports, caller, run)))
          throw new RuntimeError('run_not_found', 'Run not found')
        if (query.cancel_on_disconnect) await checkCancels(ports, caller, run)
        if (c.req.method === 'HEAD') return headOfStream(pathOf(run))
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

async function mayRead({ threads }: RunPorts, caller: Caller, run: RuntimeRun): Promise<boolean> {
  const allowed = await caller.may('threads:read', { thread_id: run.thread_id })
  return !restricts(allowed) || (await threads.allows(run.thread_id, allowed))
}

function pathOf(run: RuntimeRun): string {
  return `/runs/${run.run_id}`
}

function statelessOf(body: StatelessRunCreate, ask: Ask): StartRequest {
  if (body.command?.resume !== undefined) {
    throw new RuntimeError('invalid_input', 'A run without a thread has nothing to resume. Name the thread.')
  }
  const createThread = body.on_completion === 'keep' ? true : 'temporary'
  // Nobody had the thread before, so there is nothing that it would have to be.
  return { ...startOf(newId(), body, ask), createThread, allowed: {} }
}
