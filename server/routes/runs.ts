import { z } from 'zod'
import { RuntimeError } from '../../runtime/errors.ts'
import { awaitRun } from '../../runtime/follow.ts'
import type { Run as RuntimeRun } from '../../runtime/run.ts'
import { nameOf } from '../auth.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json, paged, selected } from '../reply.ts'
import { startOf } from '../run-request.ts'
import {
  admitRun,
  admitStream,
  checkCancels,
  headOfStream,
  headOfWait,
  KEEP_ALIVE_MS,
  lastEventId,
  modesOf,
  pathOf,
  type RunPorts,
  streamRun,
  waitForRun,
} from '../run-streams.ts'
import { Run, RunCancel, RunCreate, RunJoin, RunList, RunParams } from '../schemas/runs.ts'
import { ThreadParams } from '../schemas/threads.ts'
import { findThread } from './threads.ts'

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
      access: 'threads:create_run',
      summary: 'Start a run in the background',
      answers: { 200: { description: 'The run', schema: Run }, ...NOT_FOUND, ...REFUSED },
      async handle(c, { params, body }, ask) {
        const run = await admitRun(ports, ask.caller, startOf(params.thread_id, body, ask))
        c.header('Content-Location', pathOf(run))
        return json(c, run)
      },
    }),
    endpoint({
      ...create,
      path: '/threads/:thread_id/runs/stream',
      access: 'threads:create_run',
      summary: 'Start a run and stream its events',
      answers: { ...EVENTS, ...NOT_FOUND, ...REFUSED },
      async handle(_c, { params, body }, ask) {
        const start = startOf(params.thread_id, body, ask)
        const { run, close } = await admitStream(ports, ask.caller, start)
        return streamRun(ports, run, {
          path: pathOf(run),
          after: -1,
          begins: true,
          cancel: body.on_disconnect === 'cancel',
          close,
        })
      },
    }),
    endpoint({
      ...create,
      path: '/threads/:thread_id/runs/wait',
      access: 'threads:create_run',
      summary: 'Start a run and wait for its end',
      answers: { ...VALUES, ...NOT_FOUND, ...REFUSED },
      async handle(_c, { params, body }, ask) {
        const run = await admitRun(ports, ask.caller, startOf(params.thread_id, body, ask))
        return waitForRun(ports, run, {
          path: pathOf(run),
          cancel: body.on_disconnect === 'cancel',
          begins: true,
        })
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
      access: 'threads:read',
      summary: "List a thread's runs, newest first",
      params: ThreadParams,
      query: RunList,
      answers: { 200: { description: 'A page of runs', schema: z.array(Run) }, ...NOT_FOUND },
      async handle(c, { params, query }) {
        await findThread(ports.threads, params.thread_id)
        const { status, select, ...page } = query
        return await paged(
          c,
          page,
          (place) => ports.runs.list(params.thread_id, { ...place, ...(status ? { status } : {}) }),
          (run) => selected(run, select),
        )
      },
    }),
    endpoint({
      ...one,
      path: '/threads/:thread_id/runs/:run_id',
      access: 'threads:read',
      summary: 'Get a run',
      answers: { 200: { description: 'The run', schema: Run }, ...NOT_FOUND },
      handle: async (c, { params }) => json(c, await findRun(ports, params)),
    }),
    endpoint({
      ...one,
      path: '/threads/:thread_id/runs/:run_id/join',
      access: 'threads:read',
      summary: "Wait for a run's end",
      query: RunJoin,
      answers: { ...VALUES, ...NOT_FOUND },
      async handle(c, { params, query }, { caller }) {
        const run = await findRun(ports, params)
        if (query.cancel_on_disconnect) await checkCancels(ports, caller, run)
        if (c.req.method === 'HEAD') return headOfWait(pathOf(run))
        return waitForRun(ports, run, { path: pathOf(run), cancel: query.cancel_on_disconnect })
      },
    }),
    endpoint({
      ...one,
      path: '/threads/:thread_id/runs/:run_id/stream',
      access: 'threads:read',
      summary: "A run's events, from the beginning or after Last-Event-ID",
      query: RunJoin.extend({ stream_mode: z.string().max(200).optional() }),
      answers: { ...EVENTS, ...NOT_FOUND },
      async handle(c, { params, query }, { caller }) {
        const after = lastEventId(c.req.header('last-event-id'))
        const only = modesOf(query.stream_mode)
        const run = await findRun(ports, params)
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

function runChanges(ports: RunPorts): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/threads/:thread_id/runs/:run_id/cancel',
      tag: 'Runs',
      access: 'threads:update',
      summary: 'Cancel a run; with action=rollback also its checkpoints',
      params: RunParams,
      query: RunCancel,
      answers: {
        202: { description: 'It is being cancelled' },
        204: { description: 'It has ended' },
        ...NOT_FOUND,
      },
      async handle(c, { params, query }, { caller }) {
        const run = await findRun(ports, params)
        await ports.runs.cancel(run.thread_id, run.run_id, query.action, nameOf(caller))
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
      access: 'threads:update',
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
      access: 'threads:delete',
      summary: 'Delete a run that is not running',
      params: RunParams,
      answers: { 204: { description: 'Deleted' }, ...NOT_FOUND, ...REFUSED },
      async handle(c, { params }, { caller }) {
        await findRun(ports, params)
        await ports.runs.delete(params.thread_id, params.run_id, nameOf(caller))
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
