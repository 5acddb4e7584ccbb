import { failpoint } from '../runtime/failpoint.ts'
import { type Ending, type Outcome, type Queue, type ThreadState, topics } from '../runtime/ports.ts'
import type { CancelAction, ClaimedRun } from '../runtime/run.ts'
import type { Thread } from '../runtime/thread.ts'
import { type Database, hasSqlState, jsonbText, type Queryable } from './database.ts'
import { RUN_COLUMNS, type RunRow, toRun } from './runs.ts'
import { notify } from './signals.ts'
import { insertWebhook } from './webhooks.ts'

/** How long an approval is open. */
const HOLD_OPEN = '4 hours'

const CLAIM_COLUMNS = `${RUN_COLUMNS}, runs.tenant_id, runs.worker_id, runs.lease_token, runs.cancel_action, runs.stalls, runs.answered`

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
const TAKE_OVER = `
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
  returning ${CLAIM_COLUMNS}`

// The first run of each thread that may start: nothing of the thread running, nothing before it, and no hold open
// unless it is the run that answers one. Locking the thread's row keeps claimers apart; two of them never block.
const CLAIM = `
  with next as (
    select runs.thread_id, runs.run_id, threads.status as thread_status
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
    started_at = coalesce(runs.started_at, now()), thread_status = next.thread_status, updated_at = now()
  from next
  where runs.thread_id = next.thread_id and runs.run_id = next.run_id and runs.status = 'pending'
  returning ${CLAIM_COLUMNS}`

const LOCK_THREAD = 'select interrupts from threads where thread_id = $1 for update'

const SETTLE = `
  update runs
  set status = $4, error = $5::jsonb, worker_id = null, updated_at = now()
  where thread_id = $1 and run_id = $2 and lease_token = $3 and status = 'running'
  returning 1`

const EVENTS = `
  insert into events (thread_id, run_id, seq, event, data)
  select $1, $2, $3 + ordinality - 1, event, data
  from unnest($4::text[], $5::text[]) with ordinality as batch (event, data, ordinality)`

// A call that was held before and is held again (a fork, a replay) asks again. The arguments travel as text of their
// own: json_to_recordset reads every string, and stops at the NUL that a json column would keep.
const INSERT_HOLDS = `
  insert into holds (thread_id, approval_id, run_id, assistant_id, interrupt_id, kind, message_id, call_id, tool,
    args, args_hash, risk, reason, expires_at)
  select $1, h.approval_id, $2, $3, h.interrupt_id, h.kind, h.message_id, h.call_id, h.tool, h.args::json, h.args_hash,
    h.risk, h.reason, now() + interval '${HOLD_OPEN}'
  from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
      $12::text[], $13::text[])
    as h (approval_id, interrupt_id, kind, message_id, call_id, tool, args, args_hash, risk, reason)
  on conflict (thread_id, approval_id) do update
  set status = 'pending', interrupt_id = excluded.interrupt_id, run_id = excluded.run_id, released_hash = null,
    resumed_run_id = null, decided_at = null, expires_at = excluded.expires_at
  where holds.interrupt_id <> excluded.interrupt_id or holds.status = 'cancelled'`

const CANCEL_STALE_HOLDS = `
  update holds set status = 'cancelled', decided_at = now()
  where thread_id = $1 and status = 'pending' and not (interrupt_id = any($2))
  returning approval_id`

const THREAD_STATE = `
  update threads
  set "values" = $2::jsonb, interrupts = $3::jsonb, state_updated_at = now()
  where thread_id = $1`

const THREAD_STATUS = `
  update threads
  set error = $3::jsonb, updated_at = now(), status = case
    when $2 = 'error' then 'error'
    when exists (select 1 from holds where thread_id = $1 and status = 'pending') then 'interrupted'
    when exists (select 1 from runs where thread_id = $1 and status = 'pending') then 'busy'
    else $2 end
  where thread_id = $1`

const ROLL_BACK = `
  with gone as (
    delete from runs
    where thread_id = $1 and run_id = $2 and lease_token = $3 and status = 'running'
    returning run_id, thread_status
  ), events_gone as (
    delete from events where thread_id = $1 and run_id in (select run_id from gone)
  ), checkpoints_gone as (
    delete from checkpoints
    where thread_id = $1::text and metadata ->> 'run_id' in (select run_id::text from gone)
    returning thread_id, checkpoint_ns, checkpoint_id
  ), writes_gone as (
    delete from checkpoint_writes w using checkpoints_gone c
    where w.thread_id = c.thread_id and w.checkpoint_ns = c.checkpoint_ns and w.checkpoint_id = c.checkpoint_id
  ), answers_gone as (
    delete from checkpoint_writes where thread_id = $1::text and run_id in (select run_id from gone)
  ), holds_open_again as (
    update holds set status = 'pending', released_hash = null, resumed_run_id = null, decided_at = null
    where thread_id = $1 and resumed_run_id in (select run_id from gone)
  )
  select thread_status from gone`

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
  worker_id: string
  lease_token: unknown
  cancel_action: CancelAction | null
  stalls: number
  answered: Record<string, number> | null
}

export function createQueue(db: Database): Queue {
  return {
    async heartbeat(workerId, leaseMs) {
      await db.query(HEARTBEAT, [workerId, leaseMs])
    },
    async claim(workerId, limit, held) {
      const orphans = await claimRows(db, TAKE_OVER, [workerId, limit, held ?? null])
      const left = limit - orphans.length
      const claimed = left > 0 ? [...orphans, ...(await claimRows(db, CLAIM, [workerId, left]))] : orphans
      if (claimed.length > 0) await failpoint('run.claim:after')
      return claimed
    },
    settle: (run, outcome) =>
      db.transaction(async (client) => {
        const { rows } = await client.query<Pick<Thread, 'interrupts'>>(LOCK_THREAD, [run.thread_id])
        const settled =
          outcome.status === 'rolled_back'
            ? await rollBack(client, run)
            : await settle(client, run, outcome, rows[0]?.interrupts ?? {})
        if (settled) await notify(client, topics.run(run.run_id), topics.thread(run.thread_id), topics.queue)
        await failpoint('run.settle:before')
        return settled
      }),
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

async function settle(
  client: Queryable,
  run: ClaimedRun,
  outcome: Exclude<Outcome, { status: 'rolled_back' }>,
  before: Thread['interrupts'],
): Promise<boolean> {
  const error = 'error' in outcome ? jsonbText(JSON.stringify(outcome.error)) : null
  const { rows } = await client.query(SETTLE, [
    run.thread_id,
    run.run_id,
    run.lease_token,
    outcome.status,
    error,
  ])
  if (rows.length === 0) return false
  await insertEvents(client, run, outcome.events)
  await insertWebhook(client, run, outcome)
  const { state } = outcome
  const interrupts = state ? await writeState(client, run, state, before) : before
  const paused = state?.complete === true ? state.paused : Object.keys(interrupts).length > 0
  const next = 'error' in outcome ? 'error' : paused ? 'interrupted' : 'idle'
  await client.query(THREAD_STATUS, [run.thread_id, next, error])
  return true
}

async function insertEvents(client: Queryable, run: ClaimedRun, { from, list }: Ending): Promise<void> {
  if (list.length === 0) return
  await client.query(EVENTS, [
    run.thread_id,
    run.run_id,
    from,
    list.map(({ event }) => event),
    list.map(({ data }) => data),
  ])
}

async function writeState(
  client: Queryable,
  run: ClaimedRun,
  state: ThreadState,
  before: Thread['interrupts'],
): Promise<Thread['interrupts']> {
  const interrupts = state.complete ? state.interrupts : { ...stillWaiting(run, before), ...state.interrupts }
  await client.query(THREAD_STATE, [
    run.thread_id,
    jsonbText(state.values),
    jsonbText(JSON.stringify(interrupts)),
  ])
  const stale = await client.query<{ approval_id: string }>(CANCEL_STALE_HOLDS, [
    run.thread_id,
    Object.values(interrupts).flatMap((list) => list.map(({ id }) => id)),
  ])
  if (state.holds.length > 0) {
    await client.query(INSERT_HOLDS, [
      run.thread_id,
      run.run_id,
      run.assistant_id,
      state.holds.map(({ approval_id }) => approval_id),
      state.holds.map(({ interrupt_id }) => interrupt_id),
      state.holds.map(({ kind }) => kind),
      state.holds.map(({ message_id }) => message_id),
      state.holds.map(({ call_id }) => call_id),
      state.holds.map(({ tool }) => tool),
      state.holds.map(({ args }) => JSON.stringify(args)),
      state.holds.map(({ args_hash }) => args_hash),
      state.holds.map(({ risk }) => risk),
      state.holds.map(({ reason }) => reason),
    ])
  }
  const told = [...stale.rows, ...state.holds].map(({ approval_id }) => topics.hold(approval_id))
  if (told.length > 0) await notify(client, ...told)
  return interrupts
}

/** What a run that broke off leaves waiting: for a resume all that it did not answer; new input takes all away. */
function stillWaiting(run: ClaimedRun, before: Thread['interrupts']): Thread['interrupts'] {
  const answered = run.kwargs.command?.resume
  if (answered === undefined) return {}
  const left = Object.entries(before).map(
    ([task, list]) => [task, list.filter(({ id }) => !(id in answered))] as const,
  )
  return Object.fromEntries(left.filter(([, list]) => list.length > 0))
}

async function rollBack(client: Queryable, run: ClaimedRun): Promise<boolean> {
  const { rows } = await client.query<{ thread_status: string }>(ROLL_BACK, [
    run.thread_id,
    run.run_id,
    run.lease_token,
  ])
  const [gone] = rows
  if (gone === undefined) return false
  const next = gone.thread_status === 'busy' ? 'idle' : gone.thread_status
  await client.query(THREAD_STATUS, [run.thread_id, next, null])
  return true
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
  }
}
