import { failpoint } from '../runtime/failpoint.ts'
import { rolesOf } from '../runtime/people.ts'
import type { Queue } from '../runtime/ports.ts'
import { topics } from '../runtime/topics.ts'
import type { CancelAction, ClaimedRun } from '../runtime/run.ts'
import { type Database, hasSqlState, prepared } from './database.ts'
import { RUN_COLUMNS, type RunRow, toRun } from './run-row.ts'
import { settleRun } from './settle-run.ts'
import { notify } from './signals.ts'

// A key's owner has those of now; of others it is known what they had at the start.
const ROLES = `case when cardinality(runs.requested_by) = 1 then coalesce((
    select case when disabled_at is null then roles else '{}' end from principals where identity = runs.requested_by[1]
  ), runs.requester_roles) end`

const CLAIM_COLUMNS = `${RUN_COLUMNS}, runs.tenant_id, runs.requested_by, ${ROLES} as requester_roles, runs.worker_id, runs.lease_token, runs.cancel_action, runs.stalls, runs.answered, (
    select jsonb_build_object('graph_id', graph_id, 'config', config, 'context', context)
    from assistants where assistants.assistant_id = runs.assistant_id
  ) as assistant, exists (
    select 1 from checkpoints where checkpoints.thread_id = runs.thread_id::text
  ) as continues, exists (
    select 1 from holds where holds.thread_id = runs.thread_id
  ) as held`

const HEARTBEAT = `
  insert into workers (worker_id, expires_at)
  values ($1, clock_timestamp() + make_interval(secs => $2::double precision / 1000))
  on conflict (worker_id) do update set expires_at = excluded.expires_at`

// A worker that was asleep finds its own lease over: what it claimed before its next heartbeat would be an orphan at
// once, taken over by whoever looks next.
const LEASE_HOLDS = `
  exists (select 1 from workers me where me.worker_id = $1 and me.expires_at > clock_timestamp())`

// Runs of workers whose lease is over, and of this one if it does not know of them. The thread row is locked as by
// every other change of a run's status. A takeover from another that finds the same newest checkpoint as the one before
// it is a stall: a run that kills its workers must end.
const TAKE_OVER = prepared(`
  with orphan as (
    select runs.thread_id, runs.run_id, runs.lease_token, (
        select max(position)::text from checkpoints where checkpoints.thread_id = runs.thread_id::text
      ) as progress
    from runs join threads using (thread_id)
    where runs.status = 'running' and ${LEASE_HOLDS}
      and (
        not exists (
          select 1 from workers where workers.worker_id = runs.worker_id and workers.expires_at > clock_timestamp()
        )
        or (runs.worker_id = $1 and not runs.run_id = any($3::uuid[]))
      )
    limit $2
    for update of threads skip locked
  )
  update runs
  set worker_id = $1, lease_token = runs.lease_token + 1, attempt = runs.attempt + 1, updated_at = now(),
    stalls = case
      when runs.worker_id = $1 then runs.stalls
      when runs.stalls > 0 and runs.progress is not distinct from orphan.progress then runs.stalls + 1
      else 1 end,
    progress = orphan.progress
  from orphan
  where runs.thread_id = orphan.thread_id and runs.run_id = orphan.run_id
    and runs.status = 'running' and runs.lease_token = orphan.lease_token
  returning ${CLAIM_COLUMNS}`)

// Whose wish it was what a run goes on with: of the run that the checkpoint is stamped with that it starts from, or of
// the nearest before one that was made by hand, and of whoever made that.
const EARLIER_REQUESTERS = `
  with recursive line as (
    (
      select checkpoint_ns, parent_checkpoint_id, metadata ->> 'run_id' as run_id, metadata ->> 'written_by' as written_by
      from checkpoints
      where checkpoints.thread_id = runs.thread_id::text
        and checkpoint_ns = runs.goes_on_ns and checkpoint_id = coalesce(runs.goes_on_id, checkpoint_id)
      order by position desc limit 1
    )
    union all
    select before.checkpoint_ns, before.parent_checkpoint_id, before.metadata ->> 'run_id',
      before.metadata ->> 'written_by'
    from line join checkpoints before
      on before.thread_id = runs.thread_id::text and before.checkpoint_ns = line.checkpoint_ns
        and before.checkpoint_id = line.parent_checkpoint_id
    where line.run_id is null
  )
  select unnest(earlier.requested_by) from line join runs earlier on earlier.run_id = case
    when line.run_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then line.run_id::uuid end
  union select written_by from line where run_id is null and written_by is not null`

// The first run of each thread that may start: nothing of the thread running, nothing before it, and no hold open
// unless it is the run that answers one. Locking the thread's row keeps claimers apart; two of them never block.
const CLAIM = prepared(`
  with next as (
    select runs.thread_id, runs.run_id, threads.written_by
    from runs join threads using (thread_id)
    where runs.status = 'pending' and runs.available_at <= clock_timestamp() and ${LEASE_HOLDS}
      and not exists (select 1 from runs r where r.thread_id = runs.thread_id and r.status = 'running')
      and not exists (
        select 1 from runs r
        where r.thread_id = runs.thread_id and r.status = 'pending' and r.available_at <= clock_timestamp()
          and (r.ahead > runs.ahead or (r.ahead = runs.ahead and r.position < runs.position))
      )
      and (runs.ahead or not exists (
        select 1 from holds where holds.thread_id = runs.thread_id and holds.status = 'pending'
      ))
    order by runs.ahead desc, runs.position
    limit $2
    for update of threads skip locked
  ), busy as (
    update threads set status = 'busy', updated_at = now() from next where threads.thread_id = next.thread_id
  )
  update runs
  set status = 'running', worker_id = $1, lease_token = runs.lease_token + 1, attempt = runs.attempt + 1,
    started_at = coalesce(runs.started_at, now()), updated_at = now(),
    requested_by = case when runs.attempt > 0 then runs.requested_by
      when runs.goes_on_ns is null then runs.requested_by || array(
        select unnest(next.written_by) except select unnest(runs.requested_by)
      )
      else array(
        select unnest(runs.requested_by || next.written_by) union (${EARLIER_REQUESTERS})
      ) end
  from next
  where runs.thread_id = next.thread_id and runs.run_id = next.run_id and runs.status = 'pending'
  returning ${CLAIM_COLUMNS}`)

const LOCK_THREAD = 'select 1 from threads where thread_id = $1 for update'

const HAND_OVER = `
  update runs set status = 'pending', ahead = true, worker_id = null, updated_at = now()
  where thread_id = $1 and run_id = $2 and lease_token = $3 and status = 'running'`

const NOTE_ANSWERED = `
  update runs set answered = $4::json
  where thread_id = $1 and run_id = $2 and lease_token = $3 and status = 'running'`

const CANCEL_ACTION =
  'select cancel_action from runs where thread_id = $1 and run_id = $2 and lease_token = $3'

interface ClaimRow extends RunRow {
  tenant_id: string
  requested_by: string[]
  requester_roles: string[] | null
  worker_id: string
  lease_token: unknown
  cancel_action: CancelAction | null
  stalls: number
  answered: Record<string, number> | null
  assistant: ClaimedRun['assistant']
  continues: boolean
  held: boolean
}

export function createQueue(db: Database): Queue {
  return {
    async heartbeat(workerId, leaseMs) {
      await db.query(HEARTBEAT, [workerId, leaseMs])
    },
    async claim(workerId, limit, { held, orphans: wanted = true } = {}) {
      const orphans = wanted ? await claimRows(db, TAKE_OVER, [workerId, limit, held ?? null]) : []
      const left = limit - orphans.length
      const claimed = left > 0 ? [...orphans, ...(await claimRows(db, CLAIM, [workerId, left]))] : orphans
      if (claimed.length > 0) await failpoint('run.claim:after')
      return claimed
    },
    settle: (run, outcome) => settleRun(db, run, outcome),
    async handOver(run) {
      await db.transaction(async (client) => {
        await client.query(LOCK_THREAD, [run.thread_id])
        await client.query(HAND_OVER, [run.thread_id, run.run_id, run.lease_token])
        await notify(client, topics.queue)
      })
    },
    async cancelAction(run) {
      const { rows } = await db.query<{ cancel_action: CancelAction | null }>(CANCEL_ACTION, [
        run.thread_id,
        run.run_id,
        run.lease_token,
      ])
      return rows[0]?.cancel_action ?? null
    },
    async noteAnswered(run, answered) {
      await db.query(NOTE_ANSWERED, [run.thread_id, run.run_id, run.lease_token, JSON.stringify(answered)])
    },
    async depth() {
      const { rows } = await db.query<{ n: number }>(
        `select count(*)::integer as n from runs where status = 'pending' and available_at <= clock_timestamp()`,
      )
      return rows[0]?.n ?? 0
    },
    async leave(workerId) {
      await db.query('delete from workers where worker_id = $1', [workerId])
    },
  }
}

async function claimRows(db: Database, sql: string, values: unknown[]): Promise<ClaimedRun[]> {
  try {
    const { rows } = await db.query<ClaimRow & Record<string, unknown>>(sql, values)
    return rows.map(toClaimed)
  } catch (error) {
    // Another claimer was quicker with the same thread; the next round finds what is left.
    if (hasSqlState(error, '23505')) return []
    throw error
  }
}

function toClaimed(row: ClaimRow): ClaimedRun {
  return {
    ...toRun(row),
    tenant_id: row.tenant_id,
    worker_id: row.worker_id,
    lease_token: String(row.lease_token),
    cancel_action: row.cancel_action,
    stalls: row.stalls,
    answered: row.answered,
    assistant: row.assistant,
    continues: row.continues,
    held: row.held,
    caller: row.request.caller ?? {},
    requested_by: row.requested_by,
    requester_roles: row.requester_roles && rolesOf(row.requester_roles),
  }
}
