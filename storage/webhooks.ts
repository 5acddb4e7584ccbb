import type { Outcome } from '../runtime/outcome.ts'
import type { ClaimedRun } from '../runtime/run.ts'
import { topics } from '../runtime/topics.ts'
import type { DeadWebhook, Lanes, Webhook, Webhooks } from '../runtime/webhook.ts'
import { type Database, jsonbText, type Queryable } from './database.ts'
import { CHANNEL, notify } from './signals.ts'

const INSERT = `
  insert into webhooks (thread_id, run_id, url, payload)
  select thread_id, run_id, $3, json_build_object(
      'run_id', run_id, 'thread_id', thread_id, 'assistant_id', assistant_id, 'status', status, 'metadata', metadata,
      'kwargs', $5::json, 'multitask_strategy', multitask_strategy, 'created_at', created_at, 'updated_at', updated_at,
      'run_started_at', started_at, 'run_ended_at', now(), 'error', error, 'values', $4::json)
  from runs where thread_id = $1 and run_id = $2`

// From one target to the next by the index: a backlog of one is not read through to find the others. `$1`: free lanes to
// endpoints; `$2`: to receivers that runs named, whose targets begin with a slash.
const TARGETS = `targets as (
    (select target from webhooks where due_at is not null order by target limit 1)
    union all
    select (
      select w.target from webhooks w where w.due_at is not null and w.target > targets.target order by w.target limit 1
    )
    from targets where targets.target is not null
  ), reached as (
    select target, $3::integer - coalesce(busy.count, 0) as lanes
    from targets left join unnest($4::text[], $5::integer[]) as busy (target, count) using (target)
    where case when target like '/%' then $2::integer else $1::integer end > 0
  )`

// The first of every target go before the second of any. The next try is moved ahead before this one is made: a process
// that dies with it leaves it to another.
const CLAIM = `
  with recursive ${TARGETS}, open as (
    select reached.target, first.webhook_id, first.due_at
    from reached cross join lateral (
      select webhook_id, due_at from webhooks
      where webhooks.target = reached.target and due_at <= clock_timestamp()
      order by due_at limit greatest(0, reached.lanes)
      for update skip locked
    ) first
  ), placed as (
    select webhook_id, due_at, target like '/%' as of_run,
      row_number() over (partition by target order by due_at) as place
    from open
  ), due as (
    (select webhook_id from placed where not of_run order by place, due_at limit $1)
    union all
    (select webhook_id from placed where of_run order by place, due_at limit $2)
  )
  update webhooks set tries = tries + 1, due_at = clock_timestamp() + make_interval(secs => $6)
  from due where webhooks.webhook_id = due.webhook_id
  returning webhooks.webhook_id, target, url, payload::text as payload, tries, endpoint_id,
    extract(epoch from clock_timestamp() - begun_at)::double precision as age, (
      select json_build_object('url', e.url, 'enabled', e.disabled_because is null, 'secrets', array_remove(
        array[e.secret, case when e.previous_until > clock_timestamp() then e.previous_secret end], null))
      from webhook_endpoints e where e.endpoint_id = webhooks.endpoint_id
    ) as endpoint`

const NEXT_IN = `
  with recursive ${TARGETS}
  select extract(epoch from min(next.due_at) - clock_timestamp())::double precision as seconds
  from reached cross join lateral (
    select due_at from webhooks
    where webhooks.target = reached.target and due_at is not null
    order by due_at limit 1
  ) next
  where reached.lanes > 0`

const DELIVERED = `
  update webhooks set due_at = null, dead_at = null, delivered_at = clock_timestamp(), error = null
  where webhook_id = $1`

const FAILED = `
  update webhooks set due_at = clock_timestamp() + make_interval(secs => $2::double precision), error = $3,
    dead_at = case when $2::double precision is null then clock_timestamp() end
  where webhook_id = $1 and due_at is not null`

const DEAD = `
  select webhook_id, w.endpoint_id, coalesce(w.url, e.url, '') as url, coalesce(type, 'run') as type, tries,
    coalesce(error, '') as error, w.created_at, dead_at
  from webhooks w left join webhook_endpoints e using (endpoint_id)
  where dead_at is not null and ($1::uuid is null or w.endpoint_id = $1)
  order by dead_at desc, webhook_id limit 100`

const REDELIVER = `
  update webhooks
  set due_at = clock_timestamp(), begun_at = clock_timestamp(), tries = 0, delivered_at = null, dead_at = null, error = null
  where webhook_id = $1 and (endpoint_id is null or endpoint_id in (
    select endpoint_id from webhook_endpoints where disabled_because is null))
  returning pg_notify('${CHANNEL}', '${topics.webhooks}')`

const PRUNE = `
  delete from webhooks
  where delivered_at < $1::timestamptz - interval '1 day' or dead_at < $1::timestamptz - interval '30 days'`

interface Row {
  webhook_id: string
  target: string
  url: string | null
  payload: string
  tries: number
  age: number
  endpoint_id: string | null
  endpoint: { url: string; enabled: boolean; secrets: string[] } | null
}

interface DeadRow extends Omit<DeadWebhook, 'id' | 'created_at' | 'dead_at'> {
  webhook_id: string
  created_at: Date
  dead_at: Date
}

/** Queues the webhook that the run asked for, in the transaction that ends it. */
export async function insertWebhook(
  client: Queryable,
  run: ClaimedRun,
  outcome: Exclude<Outcome, { status: 'rolled_back' }>,
): Promise<void> {
  const { webhook } = run.kwargs
  if (webhook === undefined) return
  const values = jsonbText(outcome.state?.values ?? 'null')
  await client.query(INSERT, [run.thread_id, run.run_id, webhook, values, JSON.stringify(run.kwargs)])
  await notify(client, topics.webhooks)
}

export function createWebhooks(db: Database): Webhooks {
  return {
    async claim(lanes, leaseSeconds) {
      const { rows } = await db.query<Row & Record<string, unknown>>(CLAIM, [
        ...valuesOf(lanes),
        leaseSeconds,
      ])
      return rows.map(toWebhook)
    },
    async nextIn(lanes) {
      const { rows } = await db.query<{ seconds: number | null }>(NEXT_IN, valuesOf(lanes))
      return rows[0]?.seconds ?? undefined
    },
    async delivered(id) {
      await db.query(DELIVERED, [id])
    },
    async failed(id, error, retryInSeconds) {
      await db.query(FAILED, [id, retryInSeconds ?? null, error])
    },
    async dead(endpointId) {
      const { rows } = await db.query<DeadRow & Record<string, unknown>>(DEAD, [endpointId ?? null])
      return rows.map(({ webhook_id: id, created_at, dead_at, ...row }) => ({
        ...row,
        id,
        created_at: created_at.toISOString(),
        dead_at: dead_at.toISOString(),
      }))
    },
    async redeliver(id) {
      return (await db.query(REDELIVER, [id])).rows.length > 0
    },
    async prune(now) {
      await db.query(PRUNE, [now])
    },
  }
}

function valuesOf({ free, each, busy }: Lanes): unknown[] {
  return [free.endpoints, free.runs, each, [...busy.keys()], [...busy.values()]]
}

function toWebhook({ webhook_id: id, target, url, payload, tries, age, ...row }: Row): Webhook {
  const { endpoint_id: endpointId, endpoint } = row
  return {
    id,
    target,
    url: url ?? endpoint?.url ?? '',
    payload,
    tries,
    ageSeconds: age,
    endpoint:
      endpointId === null
        ? null
        : { id: endpointId, enabled: endpoint?.enabled ?? false, secrets: endpoint?.secrets ?? [] },
  }
}
