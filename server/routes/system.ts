import { z } from 'zod'
import { type Endpoint, endpoint } from '../endpoint.ts'

export interface SystemPorts {
  version: string
  langgraphVersion: string
  ping(): Promise<boolean>
}

export function systemRoutes({ version, langgraphVersion, ping }: SystemPorts): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/ok',
      tag: 'System',
      summary: 'Whether the server answers; with check_db=1 also whether its database does',
      query: z.object({ check_db: z.enum(['0', '1']).default('0') }),
      answers: {
        200: { description: 'It does', schema: z.object({ ok: z.boolean() }) },
        500: { description: 'It does not' },
      },
      async handle(c, { query }) {
        const ok = query.check_db === '0' || (await ping())
        return c.json({ ok }, ok ? 200 : 500)
      },
    }),
    endpoint({
      method: 'get',
      path: '/info',
      tag: 'System',
      summary: 'Versions and what is offered',
      answers: { 200: { description: 'Versions', schema: z.looseObject({ version: z.string() }) } },
      handle: (c) =>
        c.json({
          version,
          langgraph_js_version: langgraphVersion,
          context: 'js',
          flags: { assistants: true, crons: false, langsmith: false, langsmith_tracing_replicas: false },
        }),
    }),
  ]
}
