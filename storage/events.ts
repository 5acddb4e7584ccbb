import type { RunEvent, StartedRun } from '../runtime/event.ts'
import { failpoint } from '../runtime/failpoint.ts'
import type { EventLog } from '../runtime/ports.ts'
import { topics } from '../runtime/topics.ts'
import { type Database, prepared } from './database.ts'
import type { RunRequest } from '../runtime/run.ts'
import { CHANNEL } from './signals.ts'

// One statement, so that no takeover fits between the check and the write. `for share` makes a takeover wait for
// the commit, and this statement wait for a takeover that is under way: then the token no longer matches.
const APPEND = prepared(`
  with fence as (
    select 1 from runs
    where thread_id = $1 and run_id = $2 and lease_token = $3 and status = 'running'
    for share
  ), added as (
    insert into events (thread_id, run_id, seq, event, data)
    select $1, $2, $4 + ordinality - 1, event, data
    from unnest($5::text[], $6::text[]) with ordinality as batch (event, data, ordinality)
    where exists (select 1 from fence)
  )
  select pg_notify('${CHANNEL}', $7), case when $4 = 0 then pg_notify('${CHANNEL}', $8) end from fence`)

const READ = prepared(`
  select seq, event, data from events
  where thread_id = $1 and run_id = $2 and seq > $3
  order by seq limit $4`)

const LAST = prepared(`
  select seq, event, data from events
  where thread_id = $1 and run_id = $2
  order by seq desc limit 1`)

// One run of a thread ends before the next one begins, so the time of the first event is their order. It is compared
// where it is stored, to the microsecond; JavaScript's time stands in only where that run is gone.
const STARTED = `
  select runs.run_id as "runId", events.created_at as "startedAt", runs.request
  from runs join events on events.thread_id = runs.thread_id and events.run_id = runs.run_id and events.seq = 0
  where runs.thread_id = $1`

const NEXT_RUN = `${STARTED}
    and ($2::uuid is null or events.created_at > coalesce(
      (select created_at from events where thread_id = $1 and run_id = $2 and seq = 0), $3::timestamptz))
  order by events.created_at limit 1`

const LAST_RUN = `${STARTED} order by events.created_at desc limit 1`

// In small batches, so that no long lock is held; the next sweep takes the next ones.
const PRUNE = `
  with old as (
    select thread_id, run_id from runs
    where status not in ('pending', 'running') and updated_at < $1
      and exists (select 1 from events where events.thread_id = runs.thread_id and events.run_id = runs.run_id)
    limit 200
  )
  delete from events using old where events.thread_id = old.thread_id and events.run_id = old.run_id`

export function createEventLog(db: Database): EventLog {
  return {
    async append(run, from, events) {
      await failpoint('events.append:before')
      const { rows } = await db.query(APPEND, [
        run.thread_id,
        run.run_id,
        run.lease_token,
        from,
        events.map(({ event }) => event),
        events.map(({ data }) => data),
        topics.events(run.run_id, from + events.length - 1),
        topics.thread(run.thread_id),
      ])
      await failpoint('events.append:after')
      return rows.length > 0
    },
    async read(threadId, runId, after, limit) {
      const { rows } = await db.query<RunEvent & Record<string, unknown>>(READ, [
        threadId,
        runId,
        after,
        limit,
      ])
      return rows
    },
    async nextRun(threadId, after) {
      const { rows } = await db.query<StartedRow>(NEXT_RUN, [
        threadId,
        after?.runId ?? null,
        after?.startedAt ?? null,
      ])
      return rows[0] && toStarted(rows[0])
    },
    async lastRun(threadId) {
      const { rows } = await db.query<StartedRow>(LAST_RUN, [threadId])
      return rows[0] && toStarted(rows[0])
    },
    async prune(endedBefore) {
      await db.query(PRUNE, [endedBefore])
    },
    async last(threadId, runId) {
      const { rows } = await db.query<RunEvent & Record<string, unknown>>(LAST, [threadId, runId])
      return rows[0]
    },
  }
}

interface StartedRow extends Omit<StartedRun, 'v2'> {
  /** Read here: PostgreSQL decodes no text with a NUL. */
  request: Pick<RunRequest, 'protocol'>
  [column: string]: unknown
}

function toStarted({ runId, startedAt, request }: StartedRow): StartedRun {
  return { runId, startedAt, v2: request.protocol === 'v2' }
}
