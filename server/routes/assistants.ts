import { z } from 'zod'
import { RuntimeError } from '../../runtime/errors.ts'
import { schemasOf } from '../../runtime/graph-schemas.ts'
import type { Assistants, Graphs } from '../../runtime/ports.ts'
import { findAssistant } from '../../runtime/start-run.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json, paged } from '../reply.ts'
import { Assistant, AssistantParams, AssistantSearch } from '../schemas.ts'

const NOT_FOUND = { 404: { description: 'No such assistant' } }

export function assistantRoutes({
  assistants,
  graphs,
}: {
  assistants: Assistants
  graphs: Graphs
}): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/assistants/search',
      tag: 'Assistants',
      summary: 'Search assistants',
      body: AssistantSearch,
      bodyOptional: true,
      answers: { 200: { description: 'A page of assistants', schema: z.array(Assistant) } },
      async handle(c, { body }) {
        const { graph_id, name, metadata, ...page } = body
        const found = await assistants.search({
          ...page,
          ...(graph_id == null ? {} : { graph_id }),
          ...(name == null ? {} : { name }),
          ...(metadata == null ? {} : { metadata }),
        })
        return paged(c, found, page)
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
