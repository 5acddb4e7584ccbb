import { z } from 'zod'
import { RuntimeError } from '../../runtime/errors.ts'
import { newId } from '../../runtime/ids.ts'
import type { Effects, Threads } from '../../runtime/ports.ts'
import { readHistory, readState, type StatePorts } from '../../runtime/state.ts'
import type { Thread as RuntimeThread } from '../../runtime/thread.ts'
import type { Workspaces } from '../../runtime/workspaces.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json, paged } from '../reply.ts'
import {
  Effect,
  EffectList,
  History,
  QueryFlag,
  StateAt,
  Text,
  Thread,
  ThreadCreate,
  ThreadParams,
  ThreadPatch,
  ThreadSearch,
  ThreadState,
} from '../schemas.ts'

const NOT_FOUND = { 404: { description: 'No such thread' } }

export interface ThreadPorts extends StatePorts {
  threads: Threads
  effects: Effects
  workspaces: Workspaces
}

export async function findThread(threads: Threads, threadId: string): Promise<RuntimeThread> {
  const thread = await threads.get(threadId)
  if (thread === undefined) throw new RuntimeError('thread_not_found', `Thread ${threadId} does not exist.`)
  return thread
}

export function threadRoutes(ports: ThreadPorts): Endpoint[] {
  const { threads, workspaces } = ports
  return [
    endpoint({
      method: 'post',
      path: '/threads',
      tag: 'Threads',
      summary: 'Create a thread',
      body: ThreadCreate,
      bodyOptional: true,
      answers: { 200: { description: 'The thread', schema: Thread }, 409: { description: 'It exists' } },
      handle: async (c, { body }) =>
        json(
          c,
          await threads.create({
            thread_id: body.thread_id ?? newId(),
            metadata: body.metadata ?? {},
            ifExists: body.if_exists ?? 'raise',
          }),
        ),
    }),
    endpoint({
      method: 'post',
      path: '/threads/search',
      tag: 'Threads',
      summary: 'Search threads',
      body: ThreadSearch,
      bodyOptional: true,
      answers: { 200: { description: 'A page of threads', schema: z.array(Thread) } },
      async handle(c, { body }) {
        const { ids, metadata, values, status, ...page } = body
        const found = await threads.search({
          ...page,
          ...(ids == null ? {} : { ids }),
          ...(metadata == null ? {} : { metadata }),
          ...(values == null ? {} : { values }),
          ...(status == null ? {} : { status }),
        })
        return paged(c, found, page)
      },
    }),
    endpoint({
      method: 'get',
      path: '/threads/:thread_id',
      tag: 'Threads',
      summary: 'Get a thread',
      params: ThreadParams,
      answers: { 200: { description: 'The thread', schema: Thread }, ...NOT_FOUND },
      handle: async (c, { params }) => json(c, await findThread(threads, params.thread_id)),
    }),
    endpoint({
      method: 'patch',
      path: '/threads/:thread_id',
      tag: 'Threads',
      summary: "Merge into a thread's metadata",
      params: ThreadParams,
      body: ThreadPatch,
      answers: { 200: { description: 'The thread', schema: Thread }, ...NOT_FOUND },
      async handle(c, { params, body }) {
        const thread = await threads.patch(params.thread_id, body.metadata ?? {})
        if (thread === undefined)
          throw new RuntimeError('thread_not_found', `Thread ${params.thread_id} does not exist.`)
        return json(c, thread)
      },
    }),
    endpoint({
      method: 'delete',
      path: '/threads/:thread_id',
      tag: 'Threads',
      summary: 'Delete a thread with its runs, checkpoints and files; its open approvals are cancelled',
      params: ThreadParams,
      answers: { 204: { description: 'Deleted' }, ...NOT_FOUND },
      async handle(c, { params }) {
        if (!(await threads.delete(params.thread_id))) {
          throw new RuntimeError('thread_not_found', `Thread ${params.thread_id} does not exist.`)
        }
        await workspaces.clear(params.thread_id)
        return c.body(null, 204)
      },
    }),
    endpoint({
      method: 'get',
      path: '/threads/:thread_id/effects',
      tag: 'Effects',
      summary: "The thread's side effects, newest first",
      params: ThreadParams,
      query: EffectList,
      answers: { 200: { description: 'Effects', schema: z.array(Effect) } },
      // Asked of the ledger alone: it outlives the thread.
      handle: async (c, { params, query }) => json(c, await ports.effects.list(params.thread_id, query)),
    }),
    ...stateRoutes(ports),
  ]
}

function stateRoutes(ports: ThreadPorts): Endpoint[] {
  const state = { 200: { description: 'The state', schema: ThreadState }, ...NOT_FOUND }
  const states = { 200: { description: 'States, newest first', schema: z.array(ThreadState) }, ...NOT_FOUND }
  return [
    endpoint({
      method: 'get',
      path: '/threads/:thread_id/state',
      tag: 'State',
      summary: "A thread's state",
      params: ThreadParams,
      query: z.object({ subgraphs: QueryFlag }),
      answers: state,
      handle: async (c, { params, query }) =>
        json(
          c,
          await readState(ports, await findThread(ports.threads, params.thread_id), {
            subgraphs: query.subgraphs,
          }),
        ),
    }),
    endpoint({
      method: 'get',
      path: '/threads/:thread_id/state/:checkpoint_id',
      tag: 'State',
      summary: "A thread's state at a checkpoint",
      params: ThreadParams.extend({ checkpoint_id: Text(200).min(1) }),
      query: z.object({ subgraphs: QueryFlag }),
      answers: state,
      async handle(c, { params, query }) {
        const thread = await findThread(ports.threads, params.thread_id)
        const at = { checkpoint_id: params.checkpoint_id }
        return json(c, await readState(ports, thread, { at, subgraphs: query.subgraphs }))
      },
    }),
    endpoint({
      method: 'post',
      path: '/threads/:thread_id/state/checkpoint',
      tag: 'State',
      summary: "A thread's state at a checkpoint, in a namespace",
      params: ThreadParams,
      body: StateAt,
      answers: state,
      async handle(c, { params, body }) {
        const thread = await findThread(ports.threads, params.thread_id)
        const { checkpoint_id, checkpoint_ns } = body.checkpoint
        const at = {
          ...(checkpoint_id == null ? {} : { checkpoint_id }),
          ...(checkpoint_ns == null ? {} : { checkpoint_ns }),
        }
        return json(c, await readState(ports, thread, { at, subgraphs: body.subgraphs ?? false }))
      },
    }),
    endpoint({
      method: 'get',
      path: '/threads/:thread_id/history',
      tag: 'State',
      summary: "A thread's states, newest first",
      params: ThreadParams,
      query: History.pick({ limit: true }).extend({ before: Text(200).optional() }),
      answers: states,
      async handle(c, { params, query }) {
        const thread = await findThread(ports.threads, params.thread_id)
        return json(
          c,
          await readHistory(ports, thread, {
            limit: query.limit,
            ...(query.before ? { before: query.before } : {}),
          }),
        )
      },
    }),
    endpoint({
      method: 'post',
      path: '/threads/:thread_id/history',
      tag: 'State',
      summary: "A thread's states, newest first, by metadata or namespace",
      params: ThreadParams,
      body: History,
      bodyOptional: true,
      answers: states,
      async handle(c, { params, body }) {
        const thread = await findThread(ports.threads, params.thread_id)
        const before = checkpointIdOf(body.before)
        const ns = body.checkpoint?.checkpoint_ns
        return json(
          c,
          await readHistory(ports, thread, {
            limit: body.limit,
            ...(before === undefined ? {} : { before }),
            ...(body.metadata == null ? {} : { metadata: body.metadata }),
            ...(ns == null ? {} : { checkpoint_ns: ns }),
          }),
        )
      },
    }),
  ]
}

/** The official server takes an id here, its SDK sends a config: both are understood. */
function checkpointIdOf(before: z.output<typeof History>['before']): string | undefined {
  if (before == null || typeof before === 'string') return before ?? undefined
  return before.configurable?.checkpoint_id ?? before.checkpoint_id ?? undefined
}
