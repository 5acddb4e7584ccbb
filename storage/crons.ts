import { type Cron, type CronFilter, CronNotFired, type ScheduledCron } from '../runtime/cron.ts'
import { RuntimeError } from '../runtime/errors.ts'
import { failpoint } from '../runtime/failpoint.ts'
import { StorageUnavailable } from '../runtime/lease.ts'
import type { Clock, Crons } from '../runtime/ports.ts'
import { topics } from '../runtime/topics.ts'
import { firstTime, type Schedule } from '../runtime/schedule.ts'
import type { ThreadTtl } from '../runtime/thread.ts'
import { allowedSql } from './allowed.ts'
import { CRON_COLUMNS, type CronRow, NOW, toCron, whenOf } from './cron-row.ts'
import { type Database, hasSqlState, jsonb } from './database.ts'
import { fireDue, takeDue } from './fire-cron.ts'
import { notify } from './signals.ts'

const CREATE = `
  insert into crons as c (cron_id, tenant_id, assistant_id, thread_id, on_run_completed, user_id, schedule, timezone, end_time,
    enabled, payload, caller, allowed, metadata, next_run_date)
  values ($1, $15, $2, $3, $4, $5, $6, $7, $8, $9, $10::json, $11::json, $12::jsonb, $13::jsonb, $14)
  returning ${CRON_COLUMNS}`

const GET = `select ${CRON_COLUMNS} from crons c where cron_id = $1 and ${allowedSql('$2', 'c')}`

const LOCK = `select ${CRON_COLUMNS}, c.caller, ${NOW} as now from crons c where cron_id = $2 for update`

const UPDATE = `
  update crons c set schedule = $2, timezone = $3, end_time = $4, enabled = $5, next_run_date = $6,
    on_run_completed = case when thread_id is null then coalesce($7, on_run_completed) end,
    payload = $8::json, metadata = metadata || $9::jsonb, caller = $10::json, updated_at = now()
  where cron_id = $1
  returning ${CRON_COLUMNS}`

const NEXT_IN = `
  select extract(epoch from min(next_run_date) - ${NOW})::double precision as seconds
  from crons where next_run_date is not null and cron_id <> all ($2::uuid[])`

const MATCHES = `
  ($1::uuid is null or assistant_id = $1)
  and ($2::uuid is null or thread_id = $2)
  and ($3::boolean is null or enabled = $3)
  and metadata @> $4::jsonb
  and ${allowedSql('$5', 'c')}`

const COUNT = `select count(*)::integer as n from crons c where ${MATCHES}`

/** `clock` says when a cron is due; unset, the database does. `threadTtl`: of the threads that its runs make. */
export function createCrons(
  db: Database,
  { clock, threadTtl }: { clock?: Clock | undefined; threadTtl?: ThreadTtl | undefined } = {},
): Crons {
  const given = async () => (clock === undefined ? null : await clock())
  const now = async () => {
    const { rows } = await db.query<{ now: Date }>(`select ${NOW} as now`, [await given()])
    return rows[0]?.now ?? new Date()
  }
  return {
    now,
    async create(cron) {
      const when = whenOf(cron)
      const next = cron.enabled ? firstTime(when, await now()) : null
      return await db.transaction(async (client) => {
        const { rows } = await client
          .query<CronRow>(CREATE, [
            cron.cron_id,
            cron.assistant_id,
            cron.thread_id,
            cron.on_run_completed,
            cron.user_id,
            cron.schedule,
            cron.timezone,
            when.end_time,
            cron.enabled,
            JSON.stringify(cron.payload),
            JSON.stringify(cron.caller),
            jsonb(cron.allowed),
            jsonb(cron.metadata),
            next,
            cron.tenant,
          ])
          .catch((error: unknown) => {
            throw missing(error, cron)
          })
        await notify(client, topics.crons)
        return toCron(only(rows))
      })
    },
    async get(cronId, allowed = {}) {
      const { rows } = await db.query<CronRow>(GET, [cronId, jsonb(allowed)])
      return rows[0] && toCron(rows[0])
    },
    async search(filter) {
      const { rows } = await db.query<CronRow>(searchSql(filter), [
        ...matching(filter),
        filter.limit,
        filter.offset,
      ])
      return { items: rows.map(toCron), total: Number(rows[0]?.['total'] ?? 0) }
    },
    async count(filter) {
      const { rows } = await db.query<{ n: number }>(COUNT, matching(filter))
      return rows[0]?.n ?? 0
    },
    async update(cronId, change) {
      const at = await given()
      return await db.transaction(async (client) => {
        const { rows } = await client.query<CronRow & { now: Date; caller: ScheduledCron['caller'] }>(LOCK, [
          at,
          cronId,
        ])
        const [row] = rows
        if (row === undefined) return undefined
        const cron = { ...toCron(row), ...change }
        const payload = Object.entries({ ...row.payload, ...change.payload })
        const { rows: changed } = await client.query<CronRow>(UPDATE, [
          cronId,
          cron.schedule,
          cron.timezone,
          cron.end_time,
          cron.enabled,
          cron.enabled ? rescheduled(row, whenOf(cron)) : null,
          change.on_run_completed ?? null,
          JSON.stringify(Object.fromEntries(payload.filter(([, value]) => value !== null))),
          jsonb(change.metadata ?? {}),
          JSON.stringify(changedBy(row.caller, change.by)),
        ])
        await notify(client, topics.crons)
        return toCron(only(changed))
      })
    },
    async delete(cronId) {
      const { rows } = await db.query('delete from crons where cron_id = $1 returning 1', [cronId])
      return rows.length > 0
    },
    async fire(startOf, aside = []) {
      const at = await given()
      let taken: string | undefined
      try {
        const fired = await db.transaction(async (client) => {
          const due = await takeDue(client, [at, aside])
          taken = due?.cron_id
          return due && (await fireDue(client, due, { startOf, threadTtl }))
        })
        if (fired !== undefined && 'run' in fired) await failpoint('run.create:after')
        return fired
      } catch (error) {
        if (taken === undefined || error instanceof StorageUnavailable) throw error
        throw new CronNotFired(taken, error)
      }
    },
    async nextIn(aside = []) {
      const { rows } = await db.query<{ seconds: number | null }>(NEXT_IN, [await given(), aside])
      return rows[0]?.seconds ?? undefined
    },
  }
}

/** A due time that has come and was not started stays due, unless what changes is when it is due. */
function rescheduled(row: CronRow & { now: Date }, when: Schedule): Date {
  const { next_run_date: planned } = row
  const same = row.schedule === when.schedule && row.timezone === when.timezone
  const within = planned !== null && (when.end_time === null || planned <= when.end_time)
  return same && within ? planned : firstTime(when, row.now)
}

function changedBy(caller: ScheduledCron['caller'], by: string | undefined): ScheduledCron['caller'] {
  if (by === undefined) return caller
  return { ...caller, changed_by: [...new Set([...(caller.changed_by ?? []), by])] }
}

/** What is gone that a cron goes with. */
function missing(error: unknown, cron: Pick<Cron, 'thread_id'>): unknown {
  if (!hasSqlState(error, '23503')) return error
  const constraint = error instanceof Error && 'constraint' in error ? error.constraint : undefined
  return constraint === 'crons_thread_id_fkey'
    ? new RuntimeError('thread_not_found', `Thread ${cron.thread_id} does not exist.`, { cause: error })
    : new RuntimeError('assistant_not_found', 'Assistant not found', { cause: error })
}

function matching(
  filter: Pick<CronFilter, 'assistant_id' | 'thread_id' | 'enabled' | 'metadata' | 'allowed'>,
): unknown[] {
  return [
    filter.assistant_id ?? null,
    filter.thread_id ?? null,
    filter.enabled ?? null,
    jsonb(filter.metadata ?? {}),
    jsonb(filter.allowed ?? {}),
  ]
}

function searchSql({ sort_by, sort_order }: CronFilter): string {
  return `
    select ${CRON_COLUMNS}, count(*) over () as total from crons c
    where ${MATCHES}
    order by ${sort_by} ${sort_order} nulls last, cron_id ${sort_order}
    limit $6 offset $7`
}

function only(rows: CronRow[]): CronRow {
  const [row] = rows
  if (row === undefined) throw new Error('The written cron did not come back.')
  return row
}
