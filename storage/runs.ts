import { RuntimeError } from '../runtime/errors.ts'
import { END_EVENT } from '../runtime/event.ts'
import { failpoint } from '../runtime/failpoint.ts'
import type { Runs } from '../runtime/ports.ts'
import { topics } from '../runtime/topics.ts'
import type { RunStatus } from '../runtime/run.ts'
import type { ThreadTtl } from '../runtime/thread.ts'
import { allowedSql } from './allowed.ts'
import { type Database, jsonb, prepared } from './database.ts'
import { insertRun } from './insert-run.ts'
import { personOrUs } from './record-of-holds.ts'
import { reopenHolds } from './reopen-holds.ts'
import { RUN_COLUMNS, type RunRow, toRun } from './run-row.ts'
import { notify } from './signals.ts'
import { queuedSql, withoutRunSql } from './thread-status.ts'

const LOCK_THREAD = 'select 1 from threads where thread_id = $1 for update'

const WITHOUT_RUN = withoutRunSql
const QUEUED = queuedSql()

const GET = prepared(`select ${RUN_COLUMNS} from runs where thread_id = $1 and run_id = $2`)
const FIND = `select ${RUN_COLUMNS} from runs where run_id = $1`

const ACTIVE_RUNS = `
  select thread_id, run_id from runs
  where status in ('pending', 'running')
    and ($1::uuid is null or thread_id = $1)
    and ($2::uuid[] is null or run_id = any($2))
    and ($3::text is null or status = $3)
    and exists (select 1 from threads t where t.thread_id = runs.thread_id and ${allowedSql('$4', 't')})
  order by position limit 10000`

const ENDING = prepared(`
  select status, case when status not in ('pending', 'running') then (
    select case event when $3 then data end from events
    where events.thread_id = runs.thread_id and events.run_id = runs.run_id
    order by seq desc limit 1
  ) end as "end"
  from runs where thread_id = $1 and run_id = $2`)

const STATUS = prepared('select status from runs where thread_id = $1 and run_id = $2')

const LIST = `
  select ${RUN_COLUMNS}, count(*) over () as total from runs
  where thread_id = $1 and ($2::text is null or status = $2)
  order by position desc limit $3 offset $4`

const CANCEL_PENDING = `
  update runs set status = 'interrupted', updated_at = now()
  where thread_id = $1 and run_id = $2 and status = 'pending'
  returning run_id`

/** Also one that waits after a hand-over: it has checkpoints, which a worker has to roll back. */
const CANCEL_BEGUN = `
  update runs set cancel_action = $3, updated_at = now()
  where thread_id = $1 and run_id = $2 and (status = 'running' or (status = 'pending' and attempt > 0))
  returning run_id`

const DELETE_NEW = `
  delete from runs where thread_id = $1 and run_id = $2 and status = 'pending' and attempt = 0
  returning run_id`

const REDRIVE = `
  update runs
  set status = 'pending', ahead = true, available_at = now(), stalls = 0, cancel_action = null, error = null,
    updated_at = now()
  where thread_id = $1 and run_id = $2 and status in ('error', 'timeout')
    and not exists (
      select 1 from runs later where later.thread_id = $1 and later.position > runs.position and later.attempt > 0
    )
    and exists (select 1 from threads where thread_id = $1 and error is not null)
  returning ${RUN_COLUMNS}`

/** The run that goes on after the decision is made of the one that paused. */
const HELD = `select 1 from holds where thread_id = $1 and run_id = $2 and status = 'pending' limit 1`

const DELETE = `
  with gone as (
    delete from runs
    where thread_id = $1 and run_id = $2 and status <> 'running' and not (status = 'pending' and attempt > 0)
    returning run_id, status
  ), events_gone as (
    delete from events where thread_id = $1 and run_id in (select run_id from gone)
  )
  select status from gone`

/** `ttl`: of threads that come into being with their first run. */
export function createRuns(db: Database, ttl?: ThreadTtl): Runs {
  const get = async (threadId: string, runId: string) => {
    const { rows } = await db.query<RunRow & Record<string, unknown>>(GET, [threadId, runId])
    return rows[0] && toRun(rows[0])
  }
  return {
    get,
    async create(run, options) {
      const created = await db.transaction((client) =>
        insertRun(client, run, {
          ...options,
          ttl,
          async write(text, values) {
            await failpoint('run.create:before')
            return await client.last(text, values)
          },
        }),
      )
      await failpoint('run.create:after')
      return created
    },
    async find(runId) {
      const { rows } = await db.query<RunRow & Record<string, unknown>>(FIND, [runId])
      return rows[0] && toRun(rows[0])
    },
    async active({ threadId, runIds, status, allowed }) {
      const { rows } = await db.query<{ thread_id: string; run_id: string }>(ACTIVE_RUNS, [
        threadId ?? null,
        runIds ?? null,
        status ?? null,
        jsonb(allowed ?? {}),
      ])
      return rows
    },
    async status(threadId, runId) {
      const { rows } = await db.query<{ status: RunStatus }>(STATUS, [threadId, runId])
      return rows[0]?.status
    },
    async ending(threadId, runId) {
      const { rows } = await db.query<{ status: RunStatus; end: string | null }>(ENDING, [
        threadId,
        runId,
        END_EVENT,
      ])
      return rows[0]
    },
    async list(threadId, { status, limit, offset }) {
      const { rows } = await db.query<RunRow & Record<string, unknown>>(LIST, [
        threadId,
        status ?? null,
        limit,
        offset,
      ])
      return { items: rows.map(toRun), total: Number(rows[0]?.total ?? 0) }
    },
    async cancel(threadId, runId, action, by) {
      await db.transaction(async (client) => {
        await client.query(LOCK_THREAD, [threadId])
        const dropped = await client.query(action === 'rollback' ? DELETE_NEW : CANCEL_PENDING, [
          threadId,
          runId,
        ])
        if (dropped.rows.length > 0) {
          await reopenHolds(client, threadId, [runId], personOrUs(by), 'run_dropped')
          await client.query(WITHOUT_RUN, [threadId, [topics.run(runId), topics.queue]])
        } else {
          await client.query(CANCEL_BEGUN, [threadId, runId, action])
          await notify(client, topics.cancel(runId), topics.queue)
        }
      })
      return await get(threadId, runId)
    },
    redrive: (threadId, runId) =>
      db.transaction(async (client) => {
        await client.query(LOCK_THREAD, [threadId])
        const { rows } = await client.query<RunRow & Record<string, unknown>>(REDRIVE, [threadId, runId])
        if (rows[0] === undefined) return undefined
        await client.query(QUEUED, [threadId])
        return toRun(rows[0])
      }),
    delete: (threadId, runId, by) =>
      db.transaction(async (client) => {
        await client.query(LOCK_THREAD, [threadId])
        const held = await client.query(HELD, [threadId, runId])
        if (held.rows.length > 0) {
          throw new RuntimeError(
            'thread_held',
            `Run ${runId} waits for an approval. Decide it at /approvals first, or delete the thread.`,
          )
        }
        const { rows } = await client.query<{ status: RunStatus }>(DELETE, [threadId, runId])
        if (rows.length > 0) {
          // An answer that was given stays given, whatever becomes of the record of its run.
          if (rows[0]?.status === 'pending')
            await reopenHolds(client, threadId, [runId], personOrUs(by), 'run_dropped')
          await client.query(WITHOUT_RUN, [threadId, [topics.run(runId), topics.queue]])
          return true
        }
        const { rows: left } = await client.query(STATUS, [threadId, runId])
        if (left.length === 0) return false
        throw new RuntimeError(
          'thread_busy',
          `Run ${runId} is running. Cancel it first, or wait until it ends.`,
        )
      }),
  }
}
