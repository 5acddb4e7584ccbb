import { z } from 'zod'
import type { Assistant } from '../../runtime/assistant.ts'
import { RuntimeError } from '../../runtime/errors.ts'
import { schemasOf } from '../../runtime/graph-schemas.ts'
import type { Assistants, Graph, Graphs } from '../../runtime/ports.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json } from '../reply.ts'
import { AssistantParams } from '../schemas/assistants.ts'
import { QueryFlag } from '../schemas/fields.ts'
import { allowedAssistant } from './assistants.ts'

export interface AssistantGraphPorts {
  assistants: Assistants
  graphs: Graphs
}

const NOT_FOUND = { 404: { description: 'No such assistant' } }

export function assistantGraphRoutes(ports: AssistantGraphPorts): Endpoint[] {
  const { assistants, graphs } = ports
  return [
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
    subgraphRoute(ports, ''),
    subgraphRoute(ports, '/:namespace'),
  ]
}

/** The graphs inside the graph, by namespace. */
function subgraphRoute({ assistants, graphs }: AssistantGraphPorts, path: '' | '/:namespace'): Endpoint {
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

/** As a run of the assistant would have it: a factory makes its graph of the configuration. */
function graphOf(graphs: Graphs, { assistant_id, graph_id, config }: Assistant): Promise<Graph> {
  const configurable = Configurable.parse(config['configurable'])
  return graphs.get(graph_id, { ...configurable, assistant_id, graph_id })
}

const Configurable = z.record(z.string(), z.unknown()).catch({})
