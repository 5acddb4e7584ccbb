import { z } from 'zod'
import type { Endpoint } from './endpoint.ts'

/** The OpenAPI 3.1 document of these endpoints, from the schemas that parse their requests. */
export function openApiOf(endpoints: Endpoint[], version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const endpoint of endpoints) {
    const path = endpoint.path.replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')
    paths[path] = { ...paths[path], [endpoint.method]: operationOf(endpoint) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Holdpoint',
      version,
      description:
        'The LangGraph Agent Server protocol, with approvals. Errors are a status and a line of plain text.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    paths,
  }
}

function operationOf({
  method,
  path,
  summary,
  tag,
  params,
  query,
  body,
  bodyForm,
  bodyOptional,
  answers,
}: Endpoint) {
  return {
    operationId: `${method}${path.replaceAll(/[^a-zA-Z0-9]+/g, '_')}`,
    summary,
    tags: [tag],
    parameters: [...parametersOf('path', params), ...parametersOf('query', query)],
    ...(body
      ? {
          requestBody: {
            required: bodyOptional !== true,
            content: Object.fromEntries(
              ['application/json', ...(bodyForm ? ['application/x-www-form-urlencoded'] : [])].map((type) => [
                type,
                { schema: schemaOf(body, 'input') },
              ]),
            ),
          },
        }
      : {}),
    responses: Object.fromEntries(
      Object.entries(answers).map(([status, { description, schema, type }]) => [
        status,
        {
          description,
          ...(schema || type
            ? {
                content: {
                  [type ?? 'application/json']: {
                    schema: schema ? schemaOf(schema, 'output') : { type: 'string' },
                  },
                },
              }
            : {}),
        },
      ]),
    ),
  }
}

function parametersOf(place: 'path' | 'query', schema: z.ZodObject | undefined) {
  return Object.entries(schema?.shape ?? {}).map(([name, type]) => ({
    name,
    in: place,
    required: place === 'path' || !(type as z.ZodType).safeParse(undefined).success,
    schema: schemaOf(type as z.ZodType, 'input'),
  }))
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output') {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline' })
  return rest
}
