import { z } from 'zod'
import { EMPTIED, type Emptied, type Metrics } from '../../runtime/ports.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import type { Admission } from '../overload.ts'
import type { RateLimits } from '../rate-limits.ts'
import { MetricsFormat, Truncate } from '../schemas/system.ts'

/** Of the protocol as we speak it. Clients such as Studio compare it with those of the official server. */
const API_VERSION = '0.4.35'

export interface SystemPorts {
  version: string
  langgraphVersion: string
  ping(): Promise<boolean>
  metrics: Metrics
  admission: Admission
  limits: RateLimits
  /** Empties tables. There in test mode alone. */
  empty: ((what: readonly Emptied[]) => Promise<void>) | undefined
}

export function systemRoutes(ports: SystemPorts): Endpoint[] {
  const { version, langgraphVersion, ping } = ports
  return [
    endpoint({
      method: 'get',
      path: '/ok',
      tag: 'System',
      access: 'public',
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
      access: 'public',
      summary: 'What is offered; `version` is of the protocol, `holdpoint_version` ours',
      answers: {
        200: {
          description: 'Versions',
          schema: z.looseObject({ version: z.string(), holdpoint_version: z.string() }),
        },
      },
      handle: (c) =>
        c.json({
          version: API_VERSION,
          holdpoint_version: version,
          langgraph_js_version: langgraphVersion,
          context: 'js',
          flags: { assistants: true, crons: true, langsmith: false, langsmith_tracing_replicas: false },
        }),
    }),
    metricsRoute(ports),
    ...(ports.empty === undefined ? [] : [truncateRoute(ports.empty)]),
  ]
}

/** By name, what it counts. All go up and down, but what ends in `_total`. */
const GAUGES = {
  queue_depth: 'Runs that wait for a worker.',
  runs_running: 'Runs that a worker has.',
  workers: 'Workers that are alive, of all servers on this database.',
  approvals_pending: 'Approvals that nobody has decided.',
  webhooks_pending: 'Webhooks that no receiver has taken yet.',
  webhooks_dead: 'Webhooks that were given up, of the last 30 days.',
  streams_open: 'Open streams of this process.',
  rate_limited_total: 'Requests that this process refused with 429.',
}

function metricsRoute({ metrics, admission, limits }: SystemPorts): Endpoint {
  return endpoint({
    method: 'get',
    path: '/metrics',
    tag: 'System',
    access: 'own',
    summary: 'How busy the server is: for Prometheus, or with format=json',
    query: z.object({ format: MetricsFormat }),
    answers: { 200: { description: 'Gauges', type: 'text/plain' } },
    async handle(c, { query }, { caller }) {
      caller.needs('admin')
      const { queued, running, workers, approvals, webhooks, deadWebhooks } = await metrics.read()
      const now: Record<keyof typeof GAUGES, number> = {
        queue_depth: queued,
        runs_running: running,
        workers,
        approvals_pending: approvals,
        webhooks_pending: webhooks,
        webhooks_dead: deadWebhooks,
        streams_open: admission.streams(),
        rate_limited_total: limits.refused(),
      }
      if (query.format === 'json') return c.json(now)
      const lines = Object.entries(GAUGES).flatMap(([name, help]) => [
        `# HELP holdpoint_${name} ${help}`,
        `# TYPE holdpoint_${name} ${name.endsWith('_total') ? 'counter' : 'gauge'}`,
        `holdpoint_${name} ${now[name as keyof typeof GAUGES]}`,
      ])
      return c.body(`${lines.join('\n')}\n`, 200, {
        'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
      })
    },
  })
}

function truncateRoute(empty: NonNullable<SystemPorts['empty']>): Endpoint {
  return endpoint({
    method: 'post',
    path: '/internal/truncate',
    tag: 'System',
    access: 'own',
    summary: 'Empty tables, all or those that are true (with HOLDPOINT_TEST_MODE=1 alone)',
    body: Truncate,
    bodyOptional: true,
    answers: { 200: { description: 'They are empty', schema: z.object({ ok: z.boolean() }) } },
    async handle(c, { body }, { caller }) {
      caller.needs('admin')
      const named = Object.keys(body).length > 0
      await empty(EMPTIED.filter((what) => !named || body[what] === true))
      return c.json({ ok: true })
    },
  })
}
