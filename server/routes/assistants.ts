import { z } from 'zod'
import { type Allowed, restricts } from '../../runtime/allowed.ts'
import { RuntimeError } from '../../runtime/errors.ts'
import type { Json } from '../../runtime/json.ts'
import { type AssistantFilter, systemAssistantId } from '../../runtime/assistant.ts'
import type { Assistants, Graphs, Threads } from '../../runtime/ports.ts'
import type { Workspaces } from '../../runtime/workspaces.ts'
import { newId } from '../../runtime/ids.ts'
import { findAssistant } from '../../runtime/start-run.ts'
import { DEFAULT_TENANT } from '../../runtime/people.ts'
import { nameOf } from '../auth.ts'
import { type Ask, type Endpoint, endpoint } from '../endpoint.ts'
import { json, paged, selected } from '../reply.ts'
import {
  Assistant,
  AssistantCount,
  AssistantCreate,
  AssistantLatest,
  AssistantParams,
  AssistantPatch,
  AssistantSearch,
  AssistantVersions,
} from '../schemas/assistants.ts'
import { QueryFlag } from '../schemas/fields.ts'

export interface AssistantPorts {
  assistants: Assistants
  graphs: Graphs
  threads: Threads
  workspaces: Workspaces
}

const NOT_FOUND = { 404: { description: 'No such assistant' } }

export function assistantRoutes(ports: AssistantPorts): Endpoint[] {
  const { assistants } = ports
  return [
    ...assistantChanges(ports),
    endpoint({
      method: 'post',
      path: '/assistants/count',
      tag: 'Assistants',
      access: 'assistants:search',
      summary: 'Count assistants',
      body: AssistantCount,
      bodyOptional: true,
      answers: { 200: { description: 'How many there are', schema: z.number().int() } },
      handle: async (c, { body }, { allowed }) =>
        json(c, await assistants.count({ ...filterOf(body), allowed })),
    }),
    endpoint({
      method: 'post',
      path: '/assistants/:assistant_id/versions',
      tag: 'Assistants',
      access: 'assistants:read',
      summary: "An assistant's versions, newest first",
      params: AssistantParams,
      body: AssistantVersions,
      bodyOptional: true,
      answers: { 200: { description: 'Versions', schema: z.array(Assistant) }, ...NOT_FOUND },
      async handle(c, { params, body }, { allowed, caller }) {
        const { assistant_id } = await changeableAssistant(assistants, params.assistant_id, {
          allowed,
          caller,
        })
        const { metadata, ...page } = body
        return json(
          c,
          await assistants.versions(assistant_id, { ...page, ...(metadata ? { metadata } : {}) }),
        )
      },
    }),
    endpoint({
      method: 'post',
      path: '/assistants/search',
      tag: 'Assistants',
      access: 'assistants:search',
      summary: 'Search assistants',
      body: AssistantSearch,
      bodyOptional: true,
      answers: { 200: { description: 'A page of assistants', schema: z.array(Assistant) } },
      async handle(c, { body }, { allowed }) {
        const { graph_id, name, metadata, select, ...page } = body
        const filter = { ...page, ...filterOf({ graph_id, name, metadata }), allowed }
        return await paged(
          c,
          page,
          (place) => assistants.search({ ...filter, ...place }),
          (one) => selected(one, select),
        )
      },
    }),
    endpoint({
      method: 'get',
      path: '/assistants/:assistant_id',
      tag: 'Assistants',
      access: 'assistants:read',
      summary: 'Get an assistant by its id, or by the id of its graph',
      params: AssistantParams,
      answers: { 200: { description: 'The assistant', schema: Assistant }, ...NOT_FOUND },
      handle: async (c, { params }, { allowed }) =>
        json(c, await allowedAssistant(assistants, params.assistant_id, allowed)),
    }),
  ]
}

function assistantChanges({ assistants, graphs, threads, workspaces }: AssistantPorts): Endpoint[] {
  const checkGraph = (graphId: string | null | undefined) => {
    if (graphId == null || graphs.ids().includes(graphId)) return
    throw new RuntimeError(
      'graph_not_found',
      `Graph "${graphId}" is not served here. There are: ${graphs.ids().join(', ')}.`,
    )
  }
  const one = { params: AssistantParams, tag: 'Assistants' } as const
  const answers = { 200: { description: 'The assistant', schema: Assistant }, ...NOT_FOUND }
  return [
    endpoint({
      method: 'post',
      path: '/assistants',
      tag: 'Assistants',
      access: 'assistants:create',
      summary: 'Create an assistant: a graph with settings',
      body: AssistantCreate,
      answers: { ...answers, 409: { description: 'It exists' } },
      async handle(c, { body }, { allowed, caller }) {
        checkGraph(body.graph_id)
        const assistant = {
          assistant_id: body.assistant_id ?? newId(),
          graph_id: body.graph_id,
          name: body.name ?? 'Untitled',
          description: body.description ?? null,
          config: (body.config ?? {}) as Record<string, Json>,
          context: body.context ?? {},
          metadata: body.metadata ?? {},
        }
        const existing = await assistants.get(assistant.assistant_id)
        const foreign =
          existing !== undefined &&
          restricts(allowed) &&
          (await assistants.get(assistant.assistant_id, allowed)) === undefined
        const ifExists = foreign ? 'raise' : (body.if_exists ?? 'raise')
        return json(c, await assistants.create(assistant, ifExists, caller.person.tenant))
      },
    }),
    endpoint({
      ...one,
      method: 'patch',
      path: '/assistants/:assistant_id',
      access: 'assistants:update',
      summary: 'Change an assistant, as a new version; metadata is merged',
      body: AssistantPatch,
      answers,
      async handle(c, { params, body }, { allowed, caller }) {
        checkGraph(body.graph_id)
        const { assistant_id } = await changeableAssistant(assistants, params.assistant_id, {
          allowed,
          caller,
        })
        const given = Object.entries(body).filter(([, value]) => value != null)
        return json(c, await assistants.update(assistant_id, Object.fromEntries(given)))
      },
    }),
    endpoint({
      ...one,
      method: 'post',
      path: '/assistants/:assistant_id/latest',
      access: 'assistants:update',
      summary: 'Make a version the one that counts',
      body: AssistantLatest,
      answers,
      async handle(c, { params, body }, { allowed, caller }) {
        const { assistant_id } = await changeableAssistant(assistants, params.assistant_id, {
          allowed,
          caller,
        })
        const assistant = await assistants.setLatest(assistant_id, body.version)
        if (assistant) return json(c, assistant)
        throw new RuntimeError('assistant_not_found', `The assistant has no version ${body.version}.`)
      },
    }),
    endpoint({
      ...one,
      method: 'delete',
      path: '/assistants/:assistant_id',
      access: 'assistants:delete',
      summary: 'Delete an assistant; with delete_threads also its threads',
      query: z.object({ delete_threads: QueryFlag }),
      answers: { 204: { description: 'Deleted' }, 409: { description: "The server's own" }, ...NOT_FOUND },
      async handle(c, { params, query }, { allowed, caller }) {
        const { assistant_id, graph_id } = await allowedAssistant(assistants, params.assistant_id, allowed)
        if (assistant_id === systemAssistantId(graph_id) && graphs.ids().includes(graph_id)) {
          throw new RuntimeError(
            'assistant_is_system',
            `This is the server's own assistant for graph "${graph_id}": every graph has one.`,
          )
        }
        if (query.delete_threads) {
          for (const threadId of await threads.ofAssistant(assistant_id)) {
            const theirs = await caller.may('threads:delete', { thread_id: threadId })
            if (!(await threads.allows(threadId, theirs))) continue
            await threads.delete(threadId, nameOf(caller))
            await workspaces.clear(threadId)
          }
        }
        await assistants.delete(assistant_id)
        return c.body(null, 204)
      },
    }),
  ]
}

/** One that is somebody else's is not there. */
export async function allowedAssistant(assistants: Assistants, id: string, allowed: Allowed) {
  return await findAssistant(assistants, id, allowed)
}

/** One that every tenant has is changed by the default one alone, which is that of whoever runs the server. */
async function changeableAssistant(
  assistants: Assistants,
  id: string,
  { allowed, caller }: Pick<Ask, 'allowed' | 'caller'>,
) {
  const found = await allowedAssistant(assistants, id, allowed)
  const isShared = found.assistant_id === systemAssistantId(found.graph_id)
  if (!isShared || caller.person.tenant === DEFAULT_TENANT) return found
  throw new RuntimeError(
    'assistant_is_system',
    `The assistant of graph "${found.graph_id}" is for all tenants. Create one of your own.`,
  )
}

function filterOf({
  graph_id,
  name,
  metadata,
}: z.output<typeof AssistantCount>): Pick<AssistantFilter, 'graph_id' | 'name' | 'metadata'> {
  return {
    ...(graph_id == null ? {} : { graph_id }),
    ...(name == null ? {} : { name }),
    ...(metadata == null ? {} : { metadata }),
  }
}
