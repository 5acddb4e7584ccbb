import type { Context } from 'hono'
import { z } from 'zod'
import { createTell } from '../../runtime/artifact.ts'
import { RuntimeError } from '../../runtime/errors.ts'
import type { Json } from '../../runtime/json.ts'
import { readHistory, readState } from '../../runtime/state.ts'
import { updateState } from '../../runtime/update-state.ts'
import { nameOf } from '../auth.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json } from '../reply.ts'
import { QueryFlag, Text } from '../schemas/fields.ts'
import { CheckpointPlace, History, StateAt, StateChange, StatePatch, ThreadState } from '../schemas/state.ts'
import { ThreadParams } from '../schemas/threads.ts'
import { findThread, type ThreadPorts } from './threads.ts'

const NOT_FOUND = { 404: { description: 'No such thread' } }

/** A thread's states: now, at a checkpoint, all that it had, and changes by hand. */
export function stateRoutes(ports: ThreadPorts): Endpoint[] {
  const state = { 200: { description: 'The state', schema: ThreadState }, ...NOT_FOUND }
  const states = { 200: { description: 'States, newest first', schema: z.array(ThreadState) }, ...NOT_FOUND }
  const shown = (c: Context, states: unknown) => json(c, states, 200, createTell(ports.checkpoints.limits))
  return [
    endpoint({
      method: 'get',
      path: '/threads/:thread_id/state',
      tag: 'State',
      access: 'threads:read',
      summary: "A thread's state",
      params: ThreadParams,
      query: z.object({ subgraphs: QueryFlag }),
      answers: state,
      handle: async (c, { params, query }) =>
        shown(
          c,
          await readState(ports, await findThread(ports.threads, params.thread_id), {
            subgraphs: query.subgraphs,
          }),
        ),
    }),
    endpoint({
      method: 'post',
      path: '/threads/:thread_id/state',
      tag: 'State',
      access: 'threads:update',
      summary: "Change a thread's state as if a node had written it; what waited there is cancelled",
      params: ThreadParams,
      body: StateChange,
      answers: {
        200: {
          description: 'Where the new state is, by both names that clients know',
          schema: z.object({ checkpoint: CheckpointPlace, configurable: CheckpointPlace }),
        },
        400: { description: 'No graph has run on the thread' },
        409: { description: 'A run of the thread has not ended' },
        413: { description: 'A value is larger than a state may have' },
        ...NOT_FOUND,
      },
      async handle(c, { params, body }, { caller }) {
        const thread = await findThread(ports.threads, params.thread_id)
        const at = {
          ...placeOf(body.checkpoint ?? {}),
          ...(body.checkpoint_id == null ? {} : { checkpoint_id: body.checkpoint_id }),
        }
        const update = { values: body.values ?? null, asNode: body.as_node ?? undefined }
        const checkpoint = await updateState(ports, thread, [[update]], at, nameOf(caller))
        return json(c, { checkpoint, configurable: checkpoint })
      },
    }),
    endpoint({
      method: 'patch',
      path: '/threads/:thread_id/state',
      tag: 'State',
      access: 'threads:update',
      summary: "Merge into the metadata of a thread's newest checkpoint",
      params: ThreadParams,
      body: StatePatch,
      answers: { 204: { description: 'Merged' }, 404: { description: 'No such thread, or it never ran' } },
      async handle(c, { params, body }) {
        await findThread(ports.threads, params.thread_id)
        if (!(await ports.checkpoints.describe(params.thread_id, withoutOurs(body.metadata)))) {
          throw new RuntimeError(
            'checkpoint_not_found',
            `Thread ${params.thread_id} has no checkpoint: nothing has run on it.`,
          )
        }
        return c.body(null, 204)
      },
    }),
    endpoint({
      method: 'get',
      path: '/threads/:thread_id/state/:checkpoint_id',
      tag: 'State',
      access: 'threads:read',
      summary: "A thread's state at a checkpoint",
      params: ThreadParams.extend({ checkpoint_id: Text(200).min(1) }),
      query: z.object({ subgraphs: QueryFlag }),
      answers: state,
      async handle(c, { params, query }) {
        const thread = await findThread(ports.threads, params.thread_id)
        const at = { checkpoint_id: params.checkpoint_id }
        return shown(c, await readState(ports, thread, { at, subgraphs: query.subgraphs }))
      },
    }),
    endpoint({
      method: 'post',
      path: '/threads/:thread_id/state/checkpoint',
      tag: 'State',
      access: 'threads:read',
      summary: "A thread's state at a checkpoint, in a namespace",
      params: ThreadParams,
      body: StateAt,
      answers: state,
      async handle(c, { params, body }) {
        const thread = await findThread(ports.threads, params.thread_id)
        const at = placeOf(body.checkpoint)
        return shown(c, await readState(ports, thread, { at, subgraphs: body.subgraphs ?? false }))
      },
    }),
    endpoint({
      method: 'get',
      path: '/threads/:thread_id/history',
      tag: 'State',
      access: 'threads:read',
      summary: "A thread's states, newest first",
      params: ThreadParams,
      query: History.pick({ limit: true }).extend({ before: Text(200).optional() }),
      answers: states,
      async handle(c, { params, query }) {
        const thread = await findThread(ports.threads, params.thread_id)
        return shown(
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
      access: 'threads:read',
      summary: "A thread's states, newest first, by metadata or namespace",
      params: ThreadParams,
      body: History,
      bodyOptional: true,
      answers: states,
      async handle(c, { params, body }) {
        const thread = await findThread(ports.threads, params.thread_id)
        const before = checkpointIdOf(body.before)
        const ns = body.checkpoint?.checkpoint_ns
        return shown(
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

/** A client's reference to a checkpoint, without what says nothing. */
function placeOf({ checkpoint_id, checkpoint_ns, checkpoint_map }: z.output<typeof CheckpointPlace>) {
  return {
    ...(checkpoint_id == null ? {} : { checkpoint_id }),
    ...(checkpoint_ns == null ? {} : { checkpoint_ns }),
    ...(checkpoint_map == null ? {} : { checkpoint_map }),
  }
}

/** By these LangGraph and we find and undo checkpoints: no client writes them. */
const OURS = new Set(['run_id', 'thread_id', 'source', 'step', 'parents', 'writes'])

function withoutOurs(metadata: Record<string, Json>): Record<string, Json> {
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => !OURS.has(key)))
}
