import { z } from 'zod'
import { type Allowed, isAllowed } from '../../runtime/allowed.ts'
import { RuntimeError } from '../../runtime/errors.ts'
import type { Json } from '../../runtime/json.ts'
import { schemasOf } from '../../runtime/graph-schemas.ts'
import {
  type Assistant as RuntimeAssistant,
  type AssistantFilter,
  systemAssistantId,
} from '../../runtime/assistant.ts'
import type { Assistants, Graph, Graphs, Threads } from '../../runtime/ports.ts'
import type { Workspaces } from '../../runtime/workspaces.ts'
import { newId } from '../../runtime/ids.ts'
import { findAssistant } from '../../runtime/start-run.ts'
import { nameOf } from '../auth.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
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
  const { assistants, graphs } = ports
  return [
    ...assistantChanges(ports),
    subgraphRoute(ports, ''),
    subgraphRoute(ports, '/:namespace'),
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
      async handle(c, { params, body }, { allowed }) {
        const { assistant_id } = await allowedAssistant(assistants, params.assistant_id, allowed)
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
    endpoint({
      method: 'get',
      path: '/assistants/:assistant_id/graph',
      tag: 'Assistants',
      access: 'assistants:read',
      summary: "The graph's nodes and edges",
      params: AssistantParams,
      query: z.object({
        xray: z
          .string()
          .regex(/^(true|false|\d{1,2})$/, 'must be true, false or a number')
          .default('false'),
      }),
      answers: { 200: { description: 'Nodes and edges', schema: z.looseObject({}) }, ...NOT_FOUND },
      async handle(c, { params, query }, { allowed }) {
        const assistant = await allowedAssistant(assistants, params.assistant_id, allowed)
        const graph = await graphOf(graphs, assistant)
        const xray = query.xray === 'true' ? true : query.xray === 'false' ? false : Number(query.xray)
        return json(
          c,
          (await graph.getGraphAsync({ xray } as Parameters<typeof graph.getGraphAsync>[0])).toJSON(),
        )
      },
    }),
    endpoint({
      method: 'get',
      path: '/assistants/:assistant_id/schemas',
      tag: 'Assistants',
      access: 'assistants:read',
      summary: "JSON schemas of the graph's input, output and state",
      params: AssistantParams,
      answers: { 200: { description: 'Schemas', schema: z.looseObject({}) }, ...NOT_FOUND },
      async handle(c, { params }, { allowed }) {
        const assistant = await allowedAssistant(assistants, params.assistant_id, allowed)
        if (!graphs.ids().includes(assistant.graph_id)) {
          throw new RuntimeError('graph_not_found', `Graph "${assistant.graph_id}" is not served here.`)
        }
        return json(c, schemasOf(assistant.graph_id, await graphOf(graphs, assistant)))
      },
    }),
  ]
}

/** The graphs inside the graph, by namespace. */
function subgraphRoute({ assistants, graphs }: AssistantPorts, path: '' | '/:namespace'): Endpoint {
  const namespace = path === '' ? {} : { namespace: z.string().min(1).max(1_000) }
  return endpoint({
    method: 'get',
    path: `/assistants/:assistant_id/subgraphs${path}`,
    tag: 'Assistants',
    access: 'assistants:read',
    summary: "JSON schemas of the graph's subgraphs",
    params: AssistantParams.extend(namespace),
    query: z.object({ recurse: QueryFlag }),
    answers: { 200: { description: 'Schemas by namespace', schema: z.looseObject({}) }, ...NOT_FOUND },
    async handle(c, { params, query }, { allowed }) {
      const assistant = await allowedAssistant(assistants, params.assistant_id, allowed)
      const graph = await graphOf(graphs, assistant)
      const only = 'namespace' in params ? String(params.namespace) : undefined
      const found: Record<string, unknown> = {}
      for await (const [name, subgraph] of graph.getSubgraphsAsync(only, query.recurse)) {
        const {
          input_schema: input,
          output_schema: output,
          state_schema: state,
        } = schemasOf(name, subgraph as Graph)
        found[name] = { input, output, state, config: null }
      }
      return json(c, found)
    },
  })
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
      async handle(c, { body }, { allowed }) {
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
        const foreign = existing !== undefined && !isAllowed(existing.metadata, allowed)
        return json(c, await assistants.create(assistant, foreign ? 'raise' : (body.if_exists ?? 'raise')))
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
      async handle(c, { params, body }, { allowed }) {
        checkGraph(body.graph_id)
        const { assistant_id } = await allowedAssistant(assistants, params.assistant_id, allowed)
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
      async handle(c, { params, body }, { allowed }) {
        const { assistant_id } = await allowedAssistant(assistants, params.assistant_id, allowed)
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

/** As a run of the assistant would have it: a factory makes its graph of the configuration. */
function graphOf(graphs: Graphs, { assistant_id, graph_id, config }: RuntimeAssistant): Promise<Graph> {
  const configurable = Configurable.parse(config['configurable'])
  return graphs.get(graph_id, { ...configurable, assistant_id, graph_id })
}

const Configurable = z.record(z.string(), z.unknown()).catch({})

/** One that is somebody else's is not there. */
async function allowedAssistant(assistants: Assistants, id: string, allowed: Allowed) {
  const found = await findAssistant(assistants, id)
  if (isAllowed(found.metadata, allowed)) return found
  throw new RuntimeError('assistant_not_found', 'Assistant not found')
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
