import { RuntimeError } from '../runtime/errors.ts'
import { failpoint } from '../runtime/failpoint.ts'
import { answerOf, type Hold } from '../runtime/hold.ts'
import { toJson } from '../runtime/json.ts'
import { type InterruptAnswer, type Runs, topics } from '../runtime/ports.ts'
import type { NewRun, Run, RunRequest, RunStatus } from '../runtime/run.ts'
import type { Thread } from '../runtime/thread.ts'
import { type Database, hasSqlState, jsonb, type Queryable } from './database.ts'
import { holdsOfInterrupts, recordDecision } from './holds.ts'
import { notify } from './signals.ts'

export const RUN_COLUMNS = `runs.thread_id, runs.run_id, runs.assistant_id, runs.status, runs.metadata, runs.request,
  runs.multitask_strategy, runs.error, runs.attempt, runs.created_at, runs.updated_at`

const CREATE_THREAD =
  'insert into threads (thread_id, metadata, temporary) values ($1, $2::jsonb, $3) on conflict (thread_id) do nothing'

const LOCK_THREAD = 'select status, interrupts from threads where thread_id = $1 for update'

const ACTIVE = `
  select run_id, status, request from runs
  where thread_id = $1 and status in ('pending', 'running')`

const PENDING_HOLDS = `select approval_id from holds where thread_id = $1 and status = 'pending'`

const STOP_RUNNING = `
  update runs set cancel_action = $2, updated_at = now()
  where thread_id = $1 and status = 'running'
  returning run_id`

const ROLL_BACK_BEGUN = `
  update runs set cancel_action = 'rollback', updated_at = now()
  where thread_id = $1 and status = 'pending' and attempt > 0`

/** A decision whose run is dropped before it began has not been carried out: it is asked for again. */
const REOPEN_HOLDS = `
  update holds set status = 'pending', released_hash = null, resumed_run_id = null, decided_at = null
  where thread_id = $1 and resumed_run_id = any($2)`

const INTERRUPT_PENDING = `
  update runs set status = 'interrupted', updated_at = now()
  where thread_id = $1 and status = 'pending'
  returning run_id`

/** One that was handed over has checkpoints: a worker has to roll it back. */
const DELETE_PENDING = `delete from runs where thread_id = $1 and status = 'pending' and attempt = 0 returning run_id`

const CANCEL_HOLDS = `
  update holds set status = 'cancelled', decided_at = now()
  where thread_id = $1 and status = 'pending'
  returning approval_id`

const INSERT = `
  insert into runs (thread_id, run_id, assistant_id, ahead, available_at, request, metadata, multitask_strategy)
  values ($1, $2, $3, $4, now() + make_interval(secs => $5), $6::json, $7::jsonb, $8)
  returning ${RUN_COLUMNS}`

const RESUMED = 'update holds set resumed_run_id = $2 where thread_id = $1 and interrupt_id = any($3)'

const THREAD_BUSY = `
  update threads
  set updated_at = now(), metadata = metadata || $2::jsonb, status = case
    when exists (select 1 from holds where thread_id = $1 and status = 'pending') then status
    else 'busy' end
  where thread_id = $1`

const GET = `select ${RUN_COLUMNS} from runs where thread_id = $1 and run_id = $2`
const FIND = `select ${RUN_COLUMNS} from runs where run_id = $1`

const ACTIVE_RUNS = `
  select thread_id, run_id from runs
  where status in ('pending', 'running')
    and ($1::uuid is null or thread_id = $1)
    and ($2::uuid[] is null or run_id = any($2))
    and ($3::text is null or status = $3)
  order by position limit 10000`

const STATUS = 'select status from runs where thread_id = $1 and run_id = $2'

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
  returning ${RUN_COLUMNS}`

/** After a queued run is gone: what the thread is without it. */
const THREAD_AFTER = `
  update threads
  set updated_at = now(), status = case
    when exists (select 1 from runs where thread_id = $1 and status in ('pending', 'running')) then status
    when interrupts <> '{}'::jsonb then 'interrupted'
    when error is not null then 'error'
    else 'idle' end
  where thread_id = $1 and status = 'busy'`

const DELETE = `
  with gone as (
    delete from runs
    where thread_id = $1 and run_id = $2 and status <> 'running' and not (status = 'pending' and attempt > 0)
    returning run_id, status
  ), events_gone as (
    delete from events where thread_id = $1 and run_id in (select run_id from gone)
  )
  select status from gone`

export interface RunRow {
  thread_id: string
  run_id: string
  assistant_id: string
  status: RunStatus
  metadata: Run['metadata']
  request: RunRequest
  multitask_strategy: Run['multitask_strategy']
  error: Run['error']
  attempt: number
  created_at: Date
  updated_at: Date
  total?: unknown
}

export function createRuns(db: Database): Runs {
  const get = async (threadId: string, runId: string) => {
    const { rows } = await db.query<RunRow & Record<string, unknown>>(GET, [threadId, runId])
    return rows[0] && toRun(rows[0])
  }
  return {
    get,
    async create(run, options) {
      const created = await db.transaction(async (client) => {
        const inserted = await insertRun(client, run, options)
        await failpoint('run.create:before')
        return inserted
      })
      await failpoint('run.create:after')
      return created
    },
    async find(runId) {
      const { rows } = await db.query<RunRow & Record<string, unknown>>(FIND, [runId])
      return rows[0] && toRun(rows[0])
    },
    async active({ threadId, runIds, status }) {
      const { rows } = await db.query<{ thread_id: string; run_id: string }>(ACTIVE_RUNS, [
        threadId ?? null,
        runIds ?? null,
        status ?? null,
      ])
      return rows
    },
    async status(threadId, runId) {
      const { rows } = await db.query<{ status: RunStatus }>(STATUS, [threadId, runId])
      return rows[0]?.status
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
    async cancel(threadId, runId, action) {
      await db.transaction(async (client) => {
        await client.query(LOCK_THREAD, [threadId])
        const dropped = await client.query(action === 'rollback' ? DELETE_NEW : CANCEL_PENDING, [
          threadId,
          runId,
        ])
        if (dropped.rows.length > 0) await client.query(REOPEN_HOLDS, [threadId, [runId]])
        else await client.query(CANCEL_BEGUN, [threadId, runId, action])
        await client.query(THREAD_AFTER, [threadId])
        await notify(client, topics.cancel(runId), topics.run(runId), topics.queue)
      })
      return await get(threadId, runId)
    },
    redrive: (threadId, runId) =>
      db.transaction(async (client) => {
        await client.query(LOCK_THREAD, [threadId])
        const { rows } = await client.query<RunRow & Record<string, unknown>>(REDRIVE, [threadId, runId])
        if (rows[0] === undefined) return undefined
        await client.query(THREAD_BUSY, [threadId, '{}'])
        await notify(client, topics.queue)
        return toRun(rows[0])
      }),
    delete: (threadId, runId) =>
      db.transaction(async (client) => {
        await client.query(LOCK_THREAD, [threadId])
        const { rows } = await client.query<{ status: RunStatus }>(DELETE, [threadId, runId])
        if (rows.length > 0) {
          // An answer that was given stays given, whatever becomes of the record of its run.
          if (rows[0]?.status === 'pending') await client.query(REOPEN_HOLDS, [threadId, [runId]])
          await client.query(THREAD_AFTER, [threadId])
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

async function insertRun(
  client: Queryable,
  run: NewRun,
  { createThread, answers }: Parameters<Runs['create']>[1],
): Promise<Run> {
  const { thread_id: threadId } = run
  if (createThread !== false)
    await client.query(CREATE_THREAD, [threadId, jsonb(run.metadata), createThread === 'temporary'])
  const { rows: threads } = await client.query<Pick<Thread, 'status' | 'interrupts'>>(LOCK_THREAD, [threadId])
  const [thread] = threads
  if (thread === undefined) throw new RuntimeError('thread_not_found', `Thread ${threadId} does not exist.`)

  const resumed = await resumeMap(client, run, thread, answers)
  // A `goto` or `update` acts on the pause itself, so it waits behind no hold and takes the open ones away.
  const ahead = run.request.command !== null
  if (resumed === undefined && ahead) await cancelHolds(client, threadId)
  if (!ahead) await makeRoom(client, run)

  const request: RunRequest =
    resumed === undefined
      ? run.request
      : { ...run.request, command: { ...run.request.command, resume: resumed } }
  const { rows } = await insertRow(client, run, request, ahead)
  const [row] = rows
  if (row === undefined) throw new Error('The inserted run did not come back.')
  if (resumed) await client.query(RESUMED, [threadId, run.run_id, Object.keys(resumed)])
  await client.query(THREAD_BUSY, [
    threadId,
    jsonb({
      ...(run.metadata['graph_id'] === undefined ? {} : { graph_id: run.metadata['graph_id'] }),
      assistant_id: run.assistant_id,
    }),
  ])
  await notify(client, topics.queue)
  return toRun(row)
}

async function insertRow(client: Queryable, run: NewRun, request: RunRequest, ahead: boolean) {
  try {
    return await client.query<RunRow & Record<string, unknown>>(INSERT, [
      run.thread_id,
      run.run_id,
      run.assistant_id,
      ahead,
      run.after_seconds,
      JSON.stringify(request),
      jsonb(run.metadata),
      run.multitask_strategy,
    ])
  } catch (error) {
    if (!hasSqlState(error, '23505')) throw error
    throw new RuntimeError('run_exists', `Run ${run.run_id} already exists.`, { cause: error })
  }
}

/** Applies the double-texting rule for a run with new input. */
async function makeRoom(client: Queryable, run: NewRun): Promise<void> {
  const { thread_id: threadId, multitask_strategy: strategy } = run
  if (strategy === 'enqueue') return
  if (strategy === 'reject') {
    const active = await client.query(ACTIVE, [threadId])
    if (active.rows.length > 0) {
      throw new RuntimeError(
        'thread_busy',
        `Thread ${threadId} has a run that has not ended. Wait for it, or choose another multitask_strategy.`,
      )
    }
    const held = await client.query(PENDING_HOLDS, [threadId])
    if (held.rows.length > 0) {
      throw new RuntimeError(
        'thread_held',
        `Thread ${threadId} waits for an approval. Decide it at /approvals, or choose another multitask_strategy.`,
      )
    }
    return
  }
  const running = await client.query<{ run_id: string }>(STOP_RUNNING, [threadId, strategy])
  const pending = await client.query<{ run_id: string }>(
    strategy === 'rollback' ? DELETE_PENDING : INTERRUPT_PENDING,
    [threadId],
  )
  if (strategy === 'rollback') await client.query(ROLL_BACK_BEGUN, [threadId])
  await client.query(REOPEN_HOLDS, [threadId, pending.rows.map(({ run_id }) => run_id)])
  await cancelHolds(client, threadId)
  const told = [
    ...running.rows.map(({ run_id }) => topics.cancel(run_id)),
    ...pending.rows.map(({ run_id }) => topics.run(run_id)),
  ]
  if (told.length > 0) await notify(client, ...told)
}

async function cancelHolds(client: Queryable, threadId: string): Promise<void> {
  const { rows } = await client.query<{ approval_id: string }>(CANCEL_HOLDS, [threadId])
  if (rows.length > 0) await notify(client, ...rows.map(({ approval_id }) => topics.hold(approval_id)))
}

/**
 * The validated resume map: holds' answers from their rows, other interrupts' as the client gave them. `undefined`
 * where the run resumes nothing. Ids that no pause of the thread has are refused, and so is a second answer.
 */
async function resumeMap(
  client: Queryable,
  run: NewRun,
  thread: Pick<Thread, 'status' | 'interrupts'>,
  answers: InterruptAnswer[],
): Promise<NonNullable<RunRequest['command']>['resume']> {
  const given = run.request.command?.resume
  if (given === undefined) return undefined
  const waiting = new Set(Object.values(thread.interrupts).flatMap((list) => list.map(({ id }) => id)))
  const { rows: active } = await client.query<{ request: RunRequest }>(ACTIVE, [run.thread_id])
  const answered = new Set(active.flatMap(({ request }) => Object.keys(request.command?.resume ?? {})))
  for (const id of Object.keys(given)) {
    if (answered.has(id)) throw new RuntimeError('hold_decided', `Interrupt ${id} already has an answer.`)
    if (!waiting.has(id))
      throw new RuntimeError(
        'invalid_resume',
        `Interrupt ${id} does not wait in this thread. Read the thread's interrupts.`,
      )
  }
  for (const { decisions } of answers) {
    for (const { approvalId, decision, edited } of decisions) {
      await recordDecision(client, approvalId, decision, 'local', edited)
    }
  }
  const holds = Map.groupBy(
    await holdsOfInterrupts(client, run.thread_id, Object.keys(given)),
    (hold) => hold.interrupt_id,
  )
  return Object.fromEntries(
    Object.entries(given).map(([id, value]) => [id, holdAnswer(holds.get(id)) ?? value]),
  )
}

function holdAnswer(holds: Hold[] | undefined) {
  if (holds === undefined || holds.length === 0) return undefined
  const open = holds.filter(({ status }) => status === 'pending')
  if (open.length > 0) {
    throw new RuntimeError(
      'invalid_resume',
      `The answer leaves ${open.length} of ${holds.length} calls undecided (${open.map(({ approval_id }) => approval_id).join(', ')}). Decide each, here or at /approvals.`,
    )
  }
  return toJson(answerOf(holds))
}

export function toRun(row: RunRow): Run {
  return {
    run_id: row.run_id,
    thread_id: row.thread_id,
    assistant_id: row.assistant_id,
    status: row.status,
    metadata: row.metadata,
    kwargs: row.request,
    multitask_strategy: row.multitask_strategy,
    error: row.error,
    attempt: row.attempt,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}
