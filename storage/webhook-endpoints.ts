import type { AuditKind } from '../runtime/audit.ts'
import type { Json } from '../runtime/json.ts'
import { topics } from '../runtime/topics.ts'
import type { WebhookEndpoint, WebhookEndpoints } from '../runtime/webhook.ts'
import { TEST_EVENT } from '../runtime/webhook-event.ts'
import { type Database, jsonb } from './database.ts'
import { personOrUs } from './record-of-holds.ts'
import { CHANNEL } from './signals.ts'

const CREATE = `
  insert into webhook_endpoints (endpoint_id, url, description, events, tools, thread_metadata, secret, tenant_id)
  values ($1, $2, $3, $4, $5, $6::jsonb, $7, $8)
  returning url, tenant_id as tenant`

const LIST = `
  select endpoint_id, url, description, events, tools, thread_metadata, tenant_id as tenant, disabled_because,
    e.created_at,
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
    delete from webhook_endpoints where endpoint_id = $1 returning endpoint_id, url, tenant_id as tenant
  ), untold as (
    delete from webhooks where endpoint_id in (select endpoint_id from gone)
  )
  select url, tenant from gone`

const ROTATE = `
  update webhook_endpoints
  set secret = $2, previous_secret = secret,
    previous_until = clock_timestamp() + make_interval(secs => $3::double precision)
  where endpoint_id = $1
  returning url, tenant_id as tenant`

const DISABLE = `
  with disabled as (
    update webhook_endpoints set disabled_because = $2 where endpoint_id = $1
    returning endpoint_id, url, tenant_id as tenant
  ), given_up as (
    update webhooks set due_at = null, dead_at = clock_timestamp(), error = $2
    where endpoint_id in (select endpoint_id from disabled) and due_at is not null
  )
  select url, tenant from disabled`

const ENABLE = `
  update webhook_endpoints set disabled_because = null where endpoint_id = $1 returning url, tenant_id as tenant`

const SECRETS = `
  select tenant_id as tenant,
    array_remove(array[secret, case when previous_until > clock_timestamp() then previous_secret end], null) as secrets
  from webhook_endpoints where endpoint_id = $1 and disabled_because is null`

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

/** What the record says of a change, beside whose endpoint it is. */
interface Told {
  kind: Extract<AuditKind, `endpoint.${string}`>
  by: string | undefined
  [more: string]: Json | undefined
}

export function createWebhookEndpoints(db: Database): WebhookEndpoints {
  const change = (sql: string, [id, ...values]: [string, ...unknown[]], { kind, by, ...data }: Told) =>
    db.transaction(async (client) => {
      const { rows } = await client.query<{ url: string; tenant: string | null }>(sql, [id, ...values])
      for (const { url, tenant } of rows) {
        // What comes after the host may be a secret of the receiver's.
        const { origin } = new URL(url)
        client.recorded.push({ kind, ...personOrUs(by), data: { endpoint_id: id, origin, tenant, ...data } })
      }
      return rows.length > 0
    })
  return {
    async create(endpoint, secret, by) {
      const { endpoint_id: id, url, description, events, tools, thread_metadata: metadata, tenant } = endpoint
      const values = [id, url, description, events, tools, jsonb(metadata), secret, tenant] as const
      await change(CREATE, [...values], { kind: 'endpoint.created', by, events, tools })
    },
    async list() {
      const { rows } = await db.query<Row & Record<string, unknown>>(LIST)
      return rows.map(toEndpoint)
    },
    delete: (id, by) => change(DELETE, [id], { kind: 'endpoint.deleted', by }),
    rotate: (id, secret, overlapSeconds, by) =>
      change(ROTATE, [id, secret, overlapSeconds], {
        kind: 'endpoint.rotated',
        by,
        overlap_seconds: overlapSeconds,
      }),
    disable: (id, because, by) => change(DISABLE, [id, because], { kind: 'endpoint.disabled', by, because }),
    enable: (id, by) => change(ENABLE, [id], { kind: 'endpoint.enabled', by }),
    async secrets(endpointId) {
      const { rows } = await db.query<{ tenant: string | null; secrets: string[] }>(SECRETS, [endpointId])
      return rows[0]
    },
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
