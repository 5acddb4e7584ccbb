import type { NewEntry } from '../runtime/audit.ts'
import type { Hold } from '../runtime/hold.ts'
import { topics } from '../runtime/topics.ts'
import { type EventType, TOLD_AS, type WebhookEvent } from '../runtime/webhook-event.ts'
import type { Queryable } from './database.ts'
import { HOLD_COLUMNS, type HoldRow, toHold } from './hold-row.ts'
import { CHANNEL } from './signals.ts'

/** Whether endpoint `e` is to be told an event of that type, of a row's thread. */
const wants = (type: string, row: string) => `
  e.disabled_because is null and (e.tenant_id is null or e.tenant_id = ${row}.tenant_id)
  and (e.events = '{}' or ${type} = any(e.events)) and (e.thread_metadata = '{}' or exists (
    select 1 from threads t where t.thread_id = ${row}.thread_id and t.metadata @> e.thread_metadata))`

const iso = (time: string) => `to_char(${time} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** What `runTold` reads of a run that has ended. */
export const ENDED_RUN =
  'thread_id, run_id, tenant_id, assistant_id, status, error, metadata, created_at, started_at'

/**
 * Tells the endpoints of the ended runs in `runs`: for a `with` of the statement that ends them, so that a run that
 * nobody wants to be told of costs no statement. `paused`: whether they stand at a pause.
 */
export const runTold = (runs: string, paused: string) => `
  insert into webhooks (endpoint_id, thread_id, run_id, type, payload)
  select e.endpoint_id, r.thread_id, r.run_id, r.type, json_build_object('type', r.type, 'timestamp', ${iso('now()')},
    'data', json_build_object('run_id', r.run_id, 'thread_id', r.thread_id, 'assistant_id', r.assistant_id,
      'status', r.status, 'paused', ${paused}, 'error', r.error, 'metadata', r.metadata,
      'created_at', ${iso('r.created_at')}, 'run_started_at', ${iso('r.started_at')}, 'run_ended_at', ${iso('now()')}))
  from (
    select *, case status when 'success' then 'run.completed' when 'error' then 'run.failed' when 'timeout' then 'run.failed' end as type
    from ${runs}
  ) r join webhook_endpoints e on r.type is not null and ${wants('r.type', 'r')}
  returning pg_notify('${CHANNEL}', '${topics.webhooks}')`

const WANTED = `
  select ${HOLD_COLUMNS}, now() as told_at, (
    select array_agg(e.endpoint_id) from webhook_endpoints e
    where ${wants('told.type', 'holds')} and (e.tools = '{}' or holds.tool = any(e.tools))
  ) as endpoints, told.type
  from holds join unnest($1::uuid[], $2::text[]) as told (id, type) on told.id = holds.approval_id
  where exists (select 1 from webhook_endpoints)
  order by created_at, approval_id`

const TELL = `
  insert into webhooks (endpoint_id, thread_id, run_id, type, payload)
  select endpoint_id, thread_id, run_id, type, payload::json
  from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])
    as told (endpoint_id, thread_id, run_id, type, payload)
  returning pg_notify('${CHANNEL}', '${topics.webhooks}')`

interface WantedRow extends HoldRow {
  type: EventType
  told_at: Date
  endpoints: string[] | null
}

/**
 * Tells the endpoints what is recorded of holds, in the transaction that does it: of each the last, with the hold as
 * it is now.
 */
export async function tellApprovals(client: Queryable, recorded: NewEntry[]): Promise<void> {
  const told = new Map(recorded.flatMap(toldOf))
  if (told.size === 0) return
  const { rows } = await client.query<WantedRow & Record<string, unknown>>(WANTED, [
    [...told.keys()],
    [...told.values()],
  ])
  const webhooks = rows.flatMap(({ endpoints, told_at: at, type, ...row }) => {
    const hold = toHold(row)
    const event: WebhookEvent<Hold> = { type, timestamp: at.toISOString(), data: hold }
    const payload = JSON.stringify(event)
    return (endpoints ?? []).map((endpointId) => ({ endpointId, hold, type, payload }))
  })
  if (webhooks.length === 0) return
  await client.query(TELL, [
    webhooks.map(({ endpointId }) => endpointId),
    webhooks.map(({ hold }) => hold.thread_id),
    webhooks.map(({ hold }) => hold.run_id),
    webhooks.map(({ type }) => type),
    webhooks.map(({ payload }) => payload),
  ])
}

function toldOf({ kind, approval_id: id }: NewEntry): [string, EventType][] {
  const type = isOfHold(kind) ? TOLD_AS[kind] : null
  return id === undefined || type === null ? [] : [[id, type]]
}

function isOfHold(kind: NewEntry['kind']): kind is keyof typeof TOLD_AS {
  return kind in TOLD_AS
}
