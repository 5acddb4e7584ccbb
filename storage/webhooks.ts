import type { Outcome } from '../runtime/outcome.ts'
import type { Webhooks } from '../runtime/ports.ts'
import { topics } from '../runtime/topics.ts'
import type { ClaimedRun } from '../runtime/run.ts'
import { type Database, jsonbText, type Queryable } from './database.ts'
import { notify } from './signals.ts'

const INSERT = `
  insert into webhooks (thread_id, run_id, url, payload)
  select thread_id, run_id, $3, json_build_object(
      'run_id', run_id, 'thread_id', thread_id, 'assistant_id', assistant_id, 'status', status, 'metadata', metadata,
      'kwargs', $5::json, 'multitask_strategy', multitask_strategy, 'created_at', created_at, 'updated_at', updated_at,
      'run_started_at', started_at, 'run_ended_at', now(), 'error', error, 'values', $4::json)
  from runs where thread_id = $1 and run_id = $2`

// The next try is moved ahead before this one is made: a process that dies with it leaves it to another.
const CLAIM = `
  with due as (
    select webhook_id from webhooks where due_at <= clock_timestamp()
    order by due_at limit $1
    for update skip locked
  )
  update webhooks set tries = tries + 1, due_at = clock_timestamp() + make_interval(secs => $2)
  from due where webhooks.webhook_id = due.webhook_id
  returning webhooks.webhook_id, url, payload::text as payload, tries,
    extract(epoch from clock_timestamp() - created_at)::double precision as age`

const DELIVERED = `
  update webhooks set due_at = null, delivered_at = clock_timestamp(), error = null where webhook_id = $1`

const FAILED = `
  update webhooks set due_at = clock_timestamp() + make_interval(secs => $2::double precision), error = $3
  where webhook_id = $1 and delivered_at is null`

const NEXT_IN = `
  select extract(epoch from min(due_at) - clock_timestamp())::double precision as seconds
  from webhooks where due_at is not null`

interface Row {
  webhook_id: string
  url: string
  payload: string
  tries: number
  age: number
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
    async claim(limit, leaseSeconds) {
      const { rows } = await db.query<Row & Record<string, unknown>>(CLAIM, [limit, leaseSeconds])
      return rows.map(({ webhook_id: id, url, payload, tries, age }) => ({
        id,
        url,
        payload,
        tries,
        ageSeconds: age,
      }))
    },
    async nextIn() {
      const { rows } = await db.query<{ seconds: number | null }>(NEXT_IN)
      return rows[0]?.seconds ?? undefined
    },
    async delivered(id) {
      await db.query(DELIVERED, [id])
    },
    async failed(id, error, retryInSeconds) {
      await db.query(FAILED, [id, retryInSeconds ?? null, error])
    },
  }
}
