import { z } from 'zod'
import { RuntimeError } from '../../runtime/errors.ts'
import type { Json } from '../../runtime/json.ts'
import { schemasOf } from '../../runtime/graph-schemas.ts'
import type { AssistantFilter, Assistants, Graph, Graphs, Threads } from '../../runtime/ports.ts'
import type { Workspaces } from '../../runtime/workspaces.ts'
import { newId } from '../../runtime/ids.ts'
import { type Assistant as RuntimeAssistant, systemAssistantId } from '../../runtime/assistant.ts'
import { findAssistant } from '../../runtime/start-run.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json, paged } from '../reply.ts'
import {
  Assistant,
  AssistantCount,
  AssistantCreate,
  AssistantLatest,
  AssistantParams,
  AssistantPatch,
  AssistantSearch,
  AssistantVersions,
  QueryFlag,
} from '../schemas.ts'

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
      summary: 'Count assistants',
      body: AssistantCount,
      bodyOptional: true,
      answers: { 200: { description: 'How many there are', schema: z.number().int() } },
      handle: async (c, { body }) => json(c, await assistants.count(filterOf(body))),
    }),
    endpoint({
      method: 'post',
      path: '/assistants/:assistant_id/versions',
      tag: 'Assistants',
      summary: "An assistant's versions, newest first",
      params: AssistantParams,
      body: AssistantVersions,
      bodyOptional: true,
      answers: { 200: { description: 'Versions', schema: z.array(Assistant) }, ...NOT_FOUND },
      async handle(c, { params, body }) {
        const { assistant_id } = await findAssistant(assistants, params.assistant_id)
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
      summary: 'Search assistants',
      body: AssistantSearch,
      bodyOptional: true,
      answers: { 200: { description: 'A page of assistants', schema: z.array(Assistant) } },
      async handle(c, { body }) {
        const { graph_id, name, metadata, select, ...page } = body
        const found = await assistants.search({ ...page, ...filterOf({ graph_id, name, metadata }) })
        return paged(c, { total: found.total, items: found.items.map((one) => selected(one, select)) }, page)
      },
    }),
    endpoint({
      method: 'get',
      path: '/assistants/:assistant_id',
      tag: 'Assistants',
      summary: 'Get an assistant by its id, or by the id of its graph',
      params: AssistantParams,
      answers: { 200: { description: 'The assistant', schema: Assistant }, ...NOT_FOUND },
      handle: async (c, { params }) => json(c, await findAssistant(assistants, params.assistant_id)),
    }),
    endpoint({
      method: 'get',
      path: '/assistants/:assistant_id/graph',
      tag: 'Assistants',
      summary: "The graph's nodes and edges",
      params: AssistantParams,
      query: z.object({
        xray: z
          .string()
          .regex(/^(true|false|\d{1,2})$/, 'must be true, false or a number')
          .default('false'),
      }),
      answers: { 200: { description: 'Nodes and edges', schema: z.looseObject({}) }, ...NOT_FOUND },
      async handle(c, { params, query }) {
        const assistant = await findAssistant(assistants, params.assistant_id)
        const graph = await graphs.get(assistant.graph_id, {})
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
      summary: "JSON schemas of the graph's input, output and state",
      params: AssistantParams,
      answers: { 200: { description: 'Schemas', schema: z.looseObject({}) }, ...NOT_FOUND },
      async handle(c, { params }) {
        const assistant = await findAssistant(assistants, params.assistant_id)
        if (!graphs.ids().includes(assistant.graph_id)) {
          throw new RuntimeError('graph_not_found', `Graph "${assistant.graph_id}" is not served here.`)
        }
        return json(c, schemasOf(assistant.graph_id, await graphs.get(assistant.graph_id, {})))
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
    summary: "JSON schemas of the graph's subgraphs",
    params: AssistantParams.extend(namespace),
    query: z.object({ recurse: QueryFlag }),
    answers: { 200: { description: 'Schemas by namespace', schema: z.looseObject({}) }, ...NOT_FOUND },
    async handle(c, { params, query }) {
      const assistant = await findAssistant(assistants, params.assistant_id)
      const graph = await graphs.get(assistant.graph_id, {})
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
      summary: 'Create an assistant: a graph with settings',
      body: AssistantCreate,
      answers: { ...answers, 409: { description: 'It exists' } },
      async handle(c, { body }) {
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
        return json(c, await assistants.create(assistant, body.if_exists ?? 'raise'))
      },
    }),
    endpoint({
      ...one,
      method: 'patch',
      path: '/assistants/:assistant_id',
      summary: 'Change an assistant, as a new version; metadata is merged',
      body: AssistantPatch,
      answers,
      async handle(c, { params, body }) {
        checkGraph(body.graph_id)
        const { assistant_id } = await findAssistant(assistants, params.assistant_id)
        const given = Object.entries(body).filter(([, value]) => value != null)
        return json(c, await assistants.update(assistant_id, Object.fromEntries(given)))
      },
    }),
    endpoint({
      ...one,
      method: 'post',
      path: '/assistants/:assistant_id/latest',
      summary: 'Make a version the one that counts',
      body: AssistantLatest,
      answers,
      async handle(c, { params, body }) {
        const { assistant_id } = await findAssistant(assistants, params.assistant_id)
        const assistant = await assistants.setLatest(assistant_id, body.version)
        if (assistant) return json(c, assistant)
        throw new RuntimeError('assistant_not_found', `The assistant has no version ${body.version}.`)
      },
    }),
    endpoint({
      ...one,
      method: 'delete',
      path: '/assistants/:assistant_id',
      summary: 'Delete an assistant; with delete_threads also its threads',
      query: z.object({ delete_threads: QueryFlag }),
      answers: { 204: { description: 'Deleted' }, 409: { description: "The server's own" }, ...NOT_FOUND },
      async handle(c, { params, query }) {
        const { assistant_id, graph_id } = await findAssistant(assistants, params.assistant_id)
        if (assistant_id === systemAssistantId(graph_id) && graphs.ids().includes(graph_id)) {
          throw new RuntimeError(
            'assistant_is_system',
            `This is the server's own assistant for graph "${graph_id}": every graph has one.`,
          )
        }
        if (query.delete_threads) {
          for (const threadId of await threads.ofAssistant(assistant_id)) {
            await threads.delete(threadId)
            await workspaces.clear(threadId)
          }
        }
        await assistants.delete(assistant_id)
        return c.body(null, 204)
      },
    }),
  ]
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

function selected(assistant: RuntimeAssistant, select: string[] | null | undefined): object {
  if (select == null) return assistant
  return Object.fromEntries(Object.entries(assistant).filter(([field]) => select.includes(field)))
}
