import type { WebhookEndpoints } from '../runtime/ports.ts'
import { topics } from '../runtime/topics.ts'
import type { WebhookEndpoint } from '../runtime/webhook.ts'
import { TEST_EVENT } from '../runtime/webhook-event.ts'
import { type Database, jsonb } from './database.ts'
import { CHANNEL } from './signals.ts'

const CREATE = `
  insert into webhook_endpoints (endpoint_id, url, description, events, tools, thread_metadata, secret)
  values ($1, $2, $3, $4, $5, $6::jsonb, $7)`

const LIST = `
  select endpoint_id, url, description, events, tools, thread_metadata, disabled_because, e.created_at,
    case when previous_until > clock_timestamp() then previous_until end as previous_until,
    coalesce(told.pending, 0) as pending, coalesce(told.dead, 0) as dead, told.delivered_at, told.last_error
  from webhook_endpoints e left join (
    select endpoint_id, count(due_at)::integer as pending, count(dead_at)::integer as dead,
      max(delivered_at) as delivered_at,
      (array_agg(error order by due_at desc) filter (where due_at is not null and error is not null))[1] as last_error
    from webhooks group by endpoint_id
  ) told using (endpoint_id)
  order by e.created_at, e.endpoint_id`

const DELETE = `
  with gone as (
    delete from webhook_endpoints where endpoint_id = $1 returning endpoint_id
  ), untold as (
    delete from webhooks where endpoint_id in (select endpoint_id from gone)
  )
  select 1 from gone`

const ROTATE = `
  update webhook_endpoints
  set secret = $2, previous_secret = secret,
    previous_until = clock_timestamp() + make_interval(secs => $3::double precision)
  where endpoint_id = $1
  returning 1`

const DISABLE = `
  with disabled as (
    update webhook_endpoints set disabled_because = $2 where endpoint_id = $1 returning endpoint_id
  ), given_up as (
    update webhooks set due_at = null, dead_at = clock_timestamp(), error = $2
    where endpoint_id in (select endpoint_id from disabled) and due_at is not null
  )
  select 1 from disabled`

const ENABLE = 'update webhook_endpoints set disabled_because = null where endpoint_id = $1 returning 1'

const TEST = `
  insert into webhooks (endpoint_id, type, payload)
  select endpoint_id, $2::text, json_build_object('type', $2::text, 'timestamp', $3::text,
    'data', json_build_object('endpoint_id', endpoint_id))
  from webhook_endpoints where endpoint_id = $1 and disabled_because is null
  returning webhook_id, pg_notify('${CHANNEL}', '${topics.webhooks}')`

interface Row extends Omit<WebhookEndpoint, 'created_at' | 'previous_until' | 'delivered_at'> {
  created_at: Date
  previous_until: Date | null
  delivered_at: Date | null
}

export function createWebhookEndpoints(db: Database): WebhookEndpoints {
  const changes = async (sql: string, values: unknown[]) => (await db.query(sql, values)).rows.length > 0
  return {
    async create({ endpoint_id: id, url, description, events, tools, thread_metadata: metadata }, secret) {
      await db.query(CREATE, [id, url, description, events, tools, jsonb(metadata), secret])
    },
    async list() {
      const { rows } = await db.query<Row & Record<string, unknown>>(LIST)
      return rows.map(toEndpoint)
    },
    delete: (endpointId) => changes(DELETE, [endpointId]),
    rotate: (endpointId, secret, overlapSeconds) => changes(ROTATE, [endpointId, secret, overlapSeconds]),
    disable: (endpointId, because) => changes(DISABLE, [endpointId, because]),
    enable: (endpointId) => changes(ENABLE, [endpointId]),
    async test(endpointId) {
      const { rows } = await db.query<{ webhook_id: string }>(TEST, [
        endpointId,
        TEST_EVENT,
        new Date().toISOString(),
      ])
      return rows[0]?.webhook_id
    },
  }
}

function toEndpoint({ created_at, previous_until, delivered_at, ...row }: Row): WebhookEndpoint {
  return {
    ...row,
    created_at: created_at.toISOString(),
    previous_until: previous_until?.toISOString() ?? null,
    delivered_at: delivered_at?.toISOString() ?? null,
  }
}
