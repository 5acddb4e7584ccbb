import { topics } from '../runtime/topics.ts'
import { CHANNEL } from './signals.ts'

/** What a thread's row says follows from its runs, its holds and where its head stands. `$1` is the thread. */

const HELD = `exists (select 1 from holds h where h.thread_id = $1 and h.status = 'pending')`
const has = (status: 'pending' | 'running') =>
  `exists (select 1 from runs r where r.thread_id = $1 and r.status = '${status}')`

/** The status that follows, where the head stands before a step (`paused`) or a run has failed (`error`). */
export const statusOf = (error: string, paused: string) => `case
    when ${has('running')} then 'busy'
    when ${HELD} then 'interrupted'
    when ${has('pending')} then 'busy'
    when ${error} is not null then 'error'
    when ${paused} then 'interrupted'
    else 'idle' end`

/** A run has been queued. Tells the workers. */
export const queuedSql = (metadata = "'{}'", config = "'{}'") => `
  update threads
  set updated_at = now(), metadata = metadata || ${metadata}::jsonb, config = config || ${config}::jsonb,
    status = case when ${HELD} then status else 'busy' end
  where thread_id = $1
  returning pg_notify('${CHANNEL}', '${topics.queue}')`

/** A run has ended by itself. `$2`: its error; `$3`, `$4`: values and interrupts, null where they stay; `$5`: paused, likewise; `$6`: whom to tell. */
export const endedSql = `
  update threads
  set "values" = case when $4::jsonb is null then "values" else $3::jsonb end,
    interrupts = coalesce($4::jsonb, interrupts), paused = coalesce($5, paused),
    state_updated_at = case when $4::jsonb is null then state_updated_at else now() end,
    error = $2::jsonb, updated_at = now(), written_by = case when $2::jsonb is null then '{}' else written_by end,
    status = case when $2::jsonb is not null then 'error' else ${statusOf('null', 'coalesce($5, paused)')} end
  where thread_id = $1
  returning (select count(pg_notify('${CHANNEL}', topic)) from unnest($6::text[]) as topic)`

/** A run is gone as if it had not been: the thread is what it is without it. Of which graph it is, its last run says. `$2`: whom to tell. */
export const withoutRunSql = `
  update threads
  set updated_at = now(), status = ${statusOf('error', 'paused')}, metadata = metadata || coalesce((
      select jsonb_strip_nulls(jsonb_build_object('graph_id', r.metadata -> 'graph_id', 'assistant_id', r.assistant_id))
      from runs r where r.thread_id = $1 order by r.position desc limit 1
    ), '{}')
  where thread_id = $1
  returning (select count(pg_notify('${CHANNEL}', topic)) from unnest($2::text[]) as topic)`
