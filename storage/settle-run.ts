import { failpoint } from '../runtime/failpoint.ts'
import { LeaseLost } from '../runtime/lease.ts'
import type { Outcome, ThreadState } from '../runtime/outcome.ts'
import { topics } from '../runtime/topics.ts'
import type { ClaimedRun } from '../runtime/run.ts'
import type { Thread } from '../runtime/thread.ts'
import { cancelHolds } from './cancel-holds.ts'
import { recordLostOf } from './hold-votes.ts'
import {
  type Database,
  hasSqlState,
  jsonbText,
  prepared,
  type Queryable,
  type Transaction,
} from './database.ts'
import { revokeGrants } from './grants.ts'
import { agent, HELD, type Held, modelsIn, recordRequested } from './record-of-holds.ts'
import { reopenHolds, reopenTaken } from './reopen-holds.ts'
import { ENDED_RUN, runTold } from './tell-endpoints.ts'
import { endedSql, withoutRunSql } from './thread-status.ts'
import { insertWebhook } from './webhooks.ts'

const LOCK_THREAD = prepared('select interrupts from threads where thread_id = $1 for update')

// Where the lease is another's by now it divides by zero, so that what travels with it, the commit too, does nothing.
const SETTLE = prepared(`
  with settled as (
    update runs
    set status = $4, error = $5::jsonb, worker_id = null, updated_at = now()
    where thread_id = $1 and run_id = $2 and lease_token = $3 and status = 'running'
    returning ${ENDED_RUN}
  ), told as (
    insert into events (thread_id, run_id, seq, event, data)
    select $1, $2, $6 + ordinality - 1, event, data
    from unnest($7::text[], $8::text[]) with ordinality as batch (event, data, ordinality)
    where exists (select 1 from settled)
  ), webhooks_told as (${runTold('settled', '$9::boolean')})
  select 1 / count(*) from settled`)

const NOT_SETTLED = '22012'

// A call that was held before and is held again (a fork, a replay, a change of what it would do) asks again, and what
// released it before does so no more. What replaces an approval is also the wish of whoever wrote the arguments that were
// released. These travel as text of their own: json_to_recordset reads every string, and stops at the NUL that a json
// column would keep.
const INSERT_HOLDS = `
  insert into holds (thread_id, approval_id, run_id, assistant_id, graph_id, tenant_id, requested_by, requester_roles, interrupt_id, kind,
    message_id, call_id, tool, tool_version, args, args_hash, args_schema, preview, preview_hash, no_preview, replaces, risk,
    reason, rule, policy_version, needs, expires_at)
  select $1, h.approval_id, $2, $3, $4, $5,
    $6::text[] || array(
      select distinct one from unnest(before.requested_by || before.author) as one where one <> all ($6) order by 1
    ), $26::text[], h.interrupt_id, h.kind, h.message_id, h.call_id, h.tool, h.tool_version,
    h.args::json, h.args_hash, h.args_schema::json, h.preview::json, h.preview_hash, h.no_preview, h.replaces, h.risk, h.reason,
    h.rule, h.policy_version, h.needs::jsonb,
    now() + make_interval(secs => (h.needs::jsonb ->> 'expires_in')::double precision)
  from unnest($7::uuid[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
      $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[],
      $23::text[], $24::uuid[], $25::text[])
    as h (approval_id, interrupt_id, kind, message_id, call_id, tool, args, args_hash, risk, reason, rule,
      policy_version, needs, tool_version, preview, preview_hash, no_preview, replaces, args_schema)
  left join lateral (
    select requested_by, array(
      select word ->> 'by' from json_array_elements(decisions) with ordinality as said (word, place)
      where status = 'edited' and word ->> 'type' = 'edit' order by place desc limit 1
    ) as author
    from holds where thread_id = $1 and approval_id = h.replaces
  ) before on true
  on conflict (thread_id, approval_id) do update
  set status = 'pending', votes = '[]', proposal = null, escalated_at = null, interrupt_id = excluded.interrupt_id, run_id = excluded.run_id, released_hash = null,
    requested_by = array(select distinct unnest(holds.requested_by || excluded.requested_by) order by 1), requester_roles = excluded.requester_roles,
    risk = excluded.risk, reason = excluded.reason, rule = excluded.rule,
    policy_version = excluded.policy_version, needs = excluded.needs, resumed_run_id = null, decided_at = null,
    cancelled_by = null, expires_at = excluded.expires_at, tool_version = excluded.tool_version,
    args_schema = excluded.args_schema, preview = excluded.preview,
    preview_hash = excluded.preview_hash, no_preview = excluded.no_preview
  where holds.interrupt_id <> excluded.interrupt_id or holds.status = 'cancelled'
  returning ${HELD}, replaces`

interface AskedFor extends Held {
  replaces: string | null
}

const ROLL_BACK = `
  with gone as (
    delete from runs
    where thread_id = $1 and run_id = $2 and lease_token = $3 and status = 'running'
    returning run_id
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
  )
  select 1 from gone`

const ENDED = prepared(endedSql)

const WITHOUT_RUN = prepared(withoutRunSql)

/** Ends a run under its lease, with all that its end brings. False where the lease is another's by now. */
export async function settleRun(db: Database, run: ClaimedRun, outcome: Outcome): Promise<boolean> {
  try {
    await db.transaction(async (client) => {
      if (outcome.status === 'rolled_back') await rollBack(client, run)
      else await settle(client, run, outcome)
    })
    return true
  } catch (error) {
    if (error instanceof LeaseLost || hasSqlState(error, NOT_SETTLED)) return false
    throw error
  }
}

/** Throws where the lease is lost, which undoes what was sent along. */
async function settle(
  client: Transaction,
  run: ClaimedRun,
  outcome: Exclude<Outcome, { status: 'rolled_back' }>,
): Promise<void> {
  const error = 'error' in outcome ? jsonbText(JSON.stringify(outcome.error)) : null
  const { state } = outcome
  // A run that leaves nothing for the record, and nobody to tell, ends in one round trip.
  const alone = !run.held && (state?.holds.length ?? 0) === 0 && run.kwargs.webhook === undefined
  const locked = lockThread(client, run)
  // All that does not depend on the thread as it was is sent at once.
  const interrupts = state?.complete === true ? state.interrupts : interruptsOf(run, state, await locked)
  const paused = state ? pausedAt(state, interrupts) : null
  const sent = Promise.allSettled([
    locked,
    client.query(SETTLE, [
      run.thread_id,
      run.run_id,
      run.lease_token,
      outcome.status,
      error,
      outcome.events.from,
      outcome.events.list.map(({ event }) => event),
      outcome.events.list.map(({ data }) => data),
      paused,
    ]),
    ...(state && !alone ? writeHolds(client, run, state, interrupts) : []),
    ...(alone ? [] : [askedStill(client, run, interrupts)]),
    insertWebhook(client, run, outcome),
  ])
  await failpoint('run.settle:before')
  const ended = client[alone ? 'last' : 'query'](ENDED, [
    run.thread_id,
    error,
    state ? jsonbText(state.values) : null,
    state ? jsonbText(JSON.stringify(interrupts)) : null,
    paused,
    [...(state?.holds ?? []).map(({ approval_id }) => topics.hold(approval_id)), ...endOf(run)],
  ])
  // What comes after a failure fails because of it.
  const [failure] = [...(await sent), ...(await Promise.allSettled([ended]))].filter(
    ({ status }) => status === 'rejected',
  )
  if (failure?.status === 'rejected') throw failure.reason
}

/** Returns the interrupts that waited. */
async function lockThread(client: Queryable, run: ClaimedRun): Promise<Thread['interrupts']> {
  const { rows } = await client.query<Pick<Thread, 'interrupts'>>(LOCK_THREAD, [run.thread_id])
  return rows[0]?.interrupts ?? {}
}

/** Whom the end of a run concerns. */
function endOf(run: ClaimedRun): string[] {
  return [topics.run(run.run_id), topics.thread(run.thread_id), topics.queue]
}

function interruptsOf(
  run: ClaimedRun,
  state: ThreadState | undefined,
  before: Thread['interrupts'],
): Thread['interrupts'] {
  return state === undefined ? before : { ...stillWaiting(run, state, before), ...state.interrupts }
}

/** A run that broke off stands where it is asked something; before a step it stands of its own accord. */
function pausedAt(state: ThreadState, interrupts: Thread['interrupts']): boolean {
  return state.complete ? state.paused : Object.keys(interrupts).length > 0
}

function writeHolds(
  client: Transaction,
  run: ClaimedRun,
  state: ThreadState,
  interrupts: Thread['interrupts'],
): Promise<unknown>[] {
  const stale = cancelHolds(client, run.thread_id, {
    waiting: Object.values(interrupts).flatMap((list) => list.map(({ id }) => id)),
    who: agent(run.assistant_id),
    cause: 'run_ended',
  })
  if (state.holds.length === 0) return [stale]
  const { holds } = state
  const inserted = client.query<AskedFor & Record<string, unknown>>(INSERT_HOLDS, [
    run.thread_id,
    run.run_id,
    run.assistant_id,
    run.assistant?.graph_id ?? '',
    run.tenant_id,
    run.requested_by,
    holds.map(({ approval_id }) => approval_id),
    holds.map(({ interrupt_id }) => interrupt_id),
    holds.map(({ kind }) => kind),
    holds.map(({ message_id }) => message_id),
    holds.map(({ call_id }) => call_id),
    holds.map(({ tool }) => tool),
    holds.map(({ args }) => JSON.stringify(args)),
    holds.map(({ args_hash }) => args_hash),
    holds.map(({ risk }) => risk),
    holds.map(({ reason }) => reason),
    holds.map(({ rule }) => rule),
    holds.map(({ policy_version }) => policy_version),
    holds.map(({ needs }) => JSON.stringify(needs)),
    holds.map(({ tool_version }) => tool_version),
    holds.map(({ preview }) => (preview === null ? null : JSON.stringify(preview))),
    holds.map(({ preview_hash }) => preview_hash),
    holds.map(({ no_preview }) => no_preview),
    holds.map(({ replaces }) => replaces),
    holds.map(({ args_schema: schema }) => (schema === null ? null : JSON.stringify(schema))),
    run.requester_roles,
  ])
  return [stale, inserted.then(({ rows }) => askedFor(client, run, rows, modelsIn(state.values)))]
}

/** A run that broke off before it did anything to the pause that it came in place of has taken nothing away. */
async function askedStill(
  client: Transaction,
  run: ClaimedRun,
  interrupts: Thread['interrupts'],
): Promise<void> {
  const waiting = Object.values(interrupts).flatMap((list) => list.map(({ id }) => id))
  if (waiting.length === 0) return
  const how = { who: agent(run.assistant_id), cause: 'run_ended', waiting } as const
  await reopenTaken(client, run.thread_id, [run.run_id], how)
}

/** What released a call that is asked for again does so no more. */
async function askedFor(
  client: Transaction,
  run: ClaimedRun,
  held: AskedFor[],
  models: Map<string, string>,
): Promise<void> {
  recordRequested(client, held, models)
  const replaced = held.flatMap(({ replaces }) => replaces ?? [])
  await recordLostOf(client, run.thread_id, replaced)
  const before = [...held.map(({ approval_id }) => approval_id), ...replaced]
  await revokeGrants(client, run.thread_id, before, { who: agent(run.assistant_id), cause: 'asked_again' })
}

/** What a run that broke off leaves waiting: for a resume all that it did not answer; else what the state still asks. */
function stillWaiting(
  run: ClaimedRun,
  { waiting }: ThreadState,
  before: Thread['interrupts'],
): Thread['interrupts'] {
  const answered = run.kwargs.command?.resume
  const left = Object.entries(before).map(
    ([task, list]) =>
      [
        task,
        list.filter(({ id }) => (answered === undefined ? waiting.includes(id) : !(id in answered))),
      ] as const,
  )
  return Object.fromEntries(left.filter(([, list]) => list.length > 0))
}

async function rollBack(client: Transaction, run: ClaimedRun): Promise<void> {
  await lockThread(client, run)
  const { rows } = await client.query(ROLL_BACK, [run.thread_id, run.run_id, run.lease_token])
  if (rows.length === 0) throw new LeaseLost(run.run_id)
  await reopenHolds(client, run.thread_id, [run.run_id], agent(run.assistant_id), 'run_rolled_back')
  await client.query(WITHOUT_RUN, [run.thread_id, endOf(run)])
  await failpoint('run.settle:before')
}
