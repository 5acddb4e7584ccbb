import { z } from 'zod'
import { type Allowed, restricts } from '../../runtime/allowed.ts'
import { RuntimeError } from '../../runtime/errors.ts'
import { newId } from '../../runtime/ids.ts'
import type { Person } from '../../runtime/people.ts'
import type { Threads } from '../../runtime/ports.ts'
import type { StatePorts } from '../../runtime/state.ts'
import type { Thread as RuntimeThread, ThreadTtl } from '../../runtime/thread.ts'
import { type Superstep, updateState } from '../../runtime/update-state.ts'
import type { Workspaces } from '../../runtime/workspaces.ts'
import { nameOf } from '../auth.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { extracted } from '../extract.ts'
import { json, paged, selected } from '../reply.ts'
import type { RunPorts } from '../run-streams.ts'
import {
  Thread,
  ThreadCount,
  ThreadCreate,
  ThreadInclude,
  ThreadParams,
  ThreadPatch,
  ThreadPrune,
  ThreadSearch,
  ThreadStorage,
  type Ttl,
} from '../schemas/threads.ts'

const NOT_FOUND = { 404: { description: 'No such thread' } }

export interface ThreadPorts extends StatePorts, RunPorts {
  threads: Threads
  workspaces: Workspaces
}

export async function findThread(threads: Threads, threadId: string): Promise<RuntimeThread> {
  return found(threadId, await threads.get(threadId))
}

function found(threadId: string, thread: RuntimeThread | undefined): RuntimeThread {
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
      access: 'threads:create',
      summary: 'Create a thread',
      body: ThreadCreate,
      bodyOptional: true,
      answers: { 200: { description: 'The thread', schema: Thread }, 409: { description: 'It exists' } },
      handle: async (c, { body }, { allowed, caller }) =>
        json(c, await createThread(ports, body, allowed, caller.person)),
    }),
    endpoint({
      method: 'post',
      path: '/threads/search',
      tag: 'Threads',
      access: 'threads:search',
      summary: 'Search threads',
      body: ThreadSearch,
      bodyOptional: true,
      answers: { 200: { description: 'A page of threads', schema: z.array(Thread) } },
      async handle(c, { body }, { allowed }) {
        const { ids, select, extract, metadata: _m, values: _v, status: _s, ...page } = body
        const filter = { ...filterOf(body), ...(ids == null ? {} : { ids }), allowed }
        return await paged(
          c,
          page,
          (place) => threads.search({ ...page, ...filter, ...place }),
          (thread) => ({
            ...selected(thread, select),
            ...(extract == null ? {} : { extracted: extracted(thread, extract) }),
          }),
        )
      },
    }),
    endpoint({
      method: 'post',
      path: '/threads/count',
      tag: 'Threads',
      access: 'threads:search',
      summary: 'Count threads',
      body: ThreadCount,
      bodyOptional: true,
      answers: { 200: { description: 'How many there are', schema: z.number().int() } },
      handle: async (c, { body }, { allowed }) =>
        json(c, await threads.count({ ...filterOf(body), allowed })),
    }),
    endpoint({
      method: 'post',
      path: '/threads/prune',
      tag: 'Threads',
      access: 'own',
      summary:
        'Prune threads away, or to their latest states; those with a run that has not ended stay as they are',
      body: ThreadPrune,
      answers: {
        200: { description: 'How many were pruned', schema: z.object({ pruned_count: z.number().int() }) },
      },
      async handle(c, { body }, { caller }) {
        let pruned = 0
        const { assistant_id, keep_last: last, older_than_minutes: minutes } = body
        const since = minutes === undefined ? undefined : new Date(Date.now() - minutes * 60_000)
        const options = { by: nameOf(caller), keep: { last, since } }
        const ids = [
          ...body.thread_ids,
          ...(assistant_id === undefined ? [] : await threads.ofAssistant(assistant_id)),
        ]
        for (const threadId of new Set(ids)) {
          const allowed = await caller.may('threads:delete', { thread_id: threadId })
          if (!(await threads.allows(threadId, allowed))) continue
          if (!(await threads.prune(threadId, body.strategy, options))) continue
          if (body.strategy === 'delete') await workspaces.clear(threadId)
          pruned += 1
        }
        return json(c, { pruned_count: pruned })
      },
    }),
    endpoint({
      method: 'get',
      path: '/threads/:thread_id',
      tag: 'Threads',
      access: 'threads:read',
      summary: 'Get a thread',
      params: ThreadParams,
      query: ThreadInclude,
      answers: { 200: { description: 'The thread', schema: Thread }, ...NOT_FOUND },
      async handle(c, { params, query }) {
        const thread = await findThread(threads, params.thread_id)
        if (!/\bttl\b/.test(query.include ?? '')) return json(c, thread)
        return json(c, { ...thread, ttl: (await threads.ttl(params.thread_id)) ?? null })
      },
    }),
    endpoint({
      method: 'patch',
      path: '/threads/:thread_id',
      tag: 'Threads',
      access: 'threads:update',
      summary: "Merge into a thread's metadata; set how long it stays",
      params: ThreadParams,
      body: ThreadPatch,
      answers: {
        200: { description: 'The thread', schema: Thread },
        204: { description: 'Changed, where the request says Prefer: return=minimal' },
        ...NOT_FOUND,
      },
      async handle(c, { params, body }) {
        if (body.ttl != null) await threads.setTtl(params.thread_id, ttlOf(body.ttl))
        const thread = found(params.thread_id, await threads.patch(params.thread_id, body.metadata ?? {}))
        if (!/\breturn=minimal\b/.test(c.req.header('prefer') ?? '')) return json(c, thread)
        return c.body(null, 204, { 'Preference-Applied': 'return=minimal' })
      },
    }),
    endpoint({
      method: 'delete',
      path: '/threads/:thread_id',
      tag: 'Threads',
      access: 'threads:delete',
      summary: 'Delete a thread with its runs, checkpoints and files; its open approvals are cancelled',
      params: ThreadParams,
      answers: { 204: { description: 'Deleted' }, ...NOT_FOUND },
      async handle(c, { params }, { caller }) {
        if (!(await threads.delete(params.thread_id, nameOf(caller)))) {
          throw new RuntimeError('thread_not_found', `Thread ${params.thread_id} does not exist.`)
        }
        await workspaces.clear(params.thread_id)
        return c.body(null, 204)
      },
    }),
    endpoint({
      method: 'post',
      path: '/threads/:thread_id/copy',
      tag: 'Threads',
      access: 'threads:read',
      summary: 'A new thread with the same states; approvals that wait stay with the original',
      params: ThreadParams,
      answers: { 200: { description: 'The copy', schema: Thread }, ...NOT_FOUND },
      async handle(c, { params }, { caller }) {
        const { metadata } = await findThread(threads, params.thread_id)
        const copy = { thread_id: newId(), metadata: { ...metadata } }
        await caller.may('threads:create', copy)
        // What the handler leaves of it, also where it takes something away.
        const left = caller.user === undefined ? undefined : copy.metadata
        return json(c, found(params.thread_id, await threads.copy(params.thread_id, copy.thread_id, left)))
      },
    }),
    endpoint({
      method: 'get',
      path: '/threads/:thread_id/storage',
      tag: 'Threads',
      access: 'threads:read',
      summary:
        "Bytes of a thread's checkpoints, of the values of each channel and of pending writes, as stored",
      params: ThreadParams,
      answers: { 200: { description: 'Bytes', schema: ThreadStorage }, ...NOT_FOUND },
      async handle(c, { params }) {
        await findThread(threads, params.thread_id)
        return json(c, await threads.storage(params.thread_id))
      },
    }),
  ]
}

function filterOf({ metadata, values, status }: z.output<typeof ThreadCount>) {
  return {
    ...(metadata == null ? {} : { metadata }),
    ...(values == null ? {} : { values }),
    ...(status == null ? {} : { status }),
  }
}

/** With supersteps the thread and its first states come into being together, or not at all. */
async function createThread(
  ports: ThreadPorts,
  body: z.output<typeof ThreadCreate>,
  allowed: Allowed,
  by: Person,
): Promise<RuntimeThread> {
  const { threads } = ports
  const threadId = body.thread_id ?? newId()
  const metadata = body.metadata ?? {}
  const ttl = body.ttl == null ? undefined : ttlOf(body.ttl)
  const supersteps = body.supersteps ?? []
  const existing = body.thread_id == null ? undefined : await threads.get(threadId)
  const foreign = existing !== undefined && restricts(allowed) && !(await threads.allows(threadId, allowed))
  const ifExists = foreign ? 'raise' : (body.if_exists ?? 'raise')
  if (supersteps.length === 0)
    return await threads.create({ thread_id: threadId, tenant: by.tenant, metadata, ttl, ifExists })
  if (existing !== undefined && ifExists === 'do_nothing') return existing
  const updates = supersteps.map(({ updates: list }): Superstep =>
    list.map(({ values, command, as_node }) => ({
      values: values ?? null,
      command: command ?? undefined,
      asNode: as_node ?? undefined,
    })),
  )
  await updateState(
    ports,
    { thread_id: threadId, metadata, config: {}, interrupts: {} },
    updates,
    {},
    by.identity,
    {
      tenant: by.tenant,
      metadata,
      ttl,
    },
  )
  return await findThread(threads, threadId)
}

/** Bare minutes delete the thread after them. */
function ttlOf(ttl: Ttl): ThreadTtl {
  if (typeof ttl === 'number') return { ttl_minutes: ttl, strategy: 'delete' }
  return { ttl_minutes: ttl.ttl, strategy: ttl.strategy ?? 'delete' }
}
