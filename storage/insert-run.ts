import { RuntimeError } from '../runtime/errors.ts'
import { answerOf, type Hold, type InterruptAnswer } from '../runtime/hold.ts'
import { toJson } from '../runtime/json.ts'
import type { Person } from '../runtime/people.ts'
import type { Runs } from '../runtime/ports.ts'
import { requestersOf } from '../runtime/requesters.ts'
import type { NewRun, Run, RunRequest } from '../runtime/run.ts'
import { isThreadConfig, type Thread, type ThreadTtl } from '../runtime/thread.ts'
import { allowedSql } from './allowed.ts'
import { cancelHolds } from './cancel-holds.ts'
import { hasSqlState, jsonb, prepared, type Queryable, type Transaction } from './database.ts'
import { recordDecision } from './decide-hold.ts'
import { holdsOfInterrupts } from './hold-row.ts'
import { makeRoom } from './make-room.ts'
import { person } from './record-of-holds.ts'
import { takeAway } from './reopen-holds.ts'
import { UNUSED } from './remove-thread.ts'
import { RUN_COLUMNS, type RunRow, toRun } from './run-row.ts'
import { queuedSql } from './thread-status.ts'

const CREATE_THREAD =
  prepared(`insert into threads (thread_id, metadata, temporary, ttl_minutes, ttl_strategy, tenant_id)
  select $1::uuid, $2::jsonb, $3, $4, $5, $6 where ${UNUSED}
  on conflict (thread_id) do nothing`)

/** `$2`: what a thread must be for the caller to use it. */
const LOCK_THREAD = prepared(
  `select status, interrupts, config, tenant_id, ${allowedSql('$2', 'threads')} as allowed from threads where thread_id = $1 for update`,
)

const ACTIVE = `
  select request from runs
  where thread_id = $1 and status in ('pending', 'running')`

// An assistant that is not there makes nulls where none may be, and so undoes what was done before.
const INSERT = prepared(`
  with assistant as (
    select assistant_id, jsonb_build_object('graph_id', graph_id) as of_graph from assistants where assistant_id = $3
  ), busy as (
    ${queuedSql(`(select of_graph || jsonb_build_object('assistant_id', assistant_id) from assistant)`, '$9')}
  ), inserted as (
    insert into runs (thread_id, run_id, assistant_id, ahead, available_at, request, metadata, multitask_strategy,
      tenant_id, requested_by, requester_roles, goes_on_ns, goes_on_id)
    values ($1, $2, (select assistant_id from assistant), $4, now() + make_interval(secs => $5), $6::json,
      $7::jsonb || (select of_graph from assistant), $8, $10, $11::text[], $12::text[], $13, $14)
    returning ${RUN_COLUMNS}
  )
  select * from inserted`)

const PLACE = `
  select not exists (
    select 1 from checkpoints later
    where later.thread_id = $1::text and later.checkpoint_ns = $2 and later.position > c.position
  ) as is_head
  from checkpoints c where thread_id = $1::text and checkpoint_ns = $2 and checkpoint_id = $3`

const RESUMED = 'update holds set resumed_run_id = $2 where thread_id = $1 and interrupt_id = any($3)'

async function createFor(
  client: Queryable,
  run: NewRun,
  temporary: boolean,
  ttl: ThreadTtl | undefined,
  tenant: string,
): Promise<void> {
  const kept = temporary ? undefined : ttl
  await client.query(CREATE_THREAD, [
    run.thread_id,
    jsonb(run.metadata),
    temporary,
    kept?.ttl_minutes ?? null,
    kept?.strategy ?? null,
    tenant,
  ])
}

type LockedThread = Pick<Thread, 'status' | 'interrupts' | 'config'> & {
  allowed: boolean
  tenant_id: string
}

type InsertOptions = Parameters<Runs['create']>[1] & {
  ttl: ThreadTtl | undefined
  /** How the row is written, after everything else. */
  write?: Queryable['query']
}

/** In a transaction of the caller's. */
export async function insertRun(
  client: Transaction,
  run: NewRun,
  { createThread, allowed, by, answers, ttl, write }: InsertOptions,
): Promise<Run> {
  const { thread_id: threadId } = run
  if (createThread !== false) await createFor(client, run, createThread === 'temporary', ttl, by.tenant)
  const { rows: threads } = await client.query<LockedThread>(LOCK_THREAD, [threadId, jsonb(allowed)])
  const [thread] = threads
  if (thread?.allowed !== true)
    throw new RuntimeError('thread_not_found', `Thread ${threadId} does not exist.`)

  await checkPlace(client, run)
  const { resume: resumed, answered } = await resumeMap(client, run, thread, answers, by)
  // A `goto` or `update` acts on the pause itself, so it waits behind no hold and takes the open ones away. Where nothing
  // is paused it is a run like others.
  const paused = Object.keys(thread.interrupts).length > 0
  const ahead = resumed !== undefined || (run.request.command !== null && paused)
  if (resumed === undefined && ahead) {
    await takeAway(client, threadId, run.run_id)
    await cancelHolds(client, threadId, { who: person(by.identity), cause: 'command', run: run.run_id })
  }
  if (!ahead) await makeRoom(client, run, by.identity)

  const configurable = { ...thread.config.configurable, ...run.request.config.configurable }
  const request: RunRequest = {
    ...run.request,
    config: { ...run.request.config, configurable },
    ...(resumed === undefined ? {} : { command: { ...run.request.command, resume: resumed } }),
  }
  if (resumed) await client.query(RESUMED, [threadId, run.run_id, Object.keys(resumed)])
  const { rows } = await insertRow(
    write ?? client.query,
    { ...run, tenant: thread.tenant_id, ...requestersOf(run, thread, answered) },
    request,
    ahead,
  )
  const [row] = rows
  if (row === undefined) throw new Error('The inserted run did not come back.')
  return toRun(row)
}

/** A run from a checkpoint that is not there would begin with nothing, and an answer is to what its sender saw. */
async function checkPlace(client: Queryable, { thread_id: threadId, request }: NewRun): Promise<void> {
  const { checkpoint, command } = request
  if (checkpoint === null) return
  const { checkpoint_id: id, checkpoint_ns: ns = '' } = checkpoint
  const { rows } = await client.query<{ is_head: boolean }>(PLACE, [threadId, ns, id])
  const [place] = rows
  if (place === undefined) {
    throw new RuntimeError(
      'checkpoint_not_found',
      `Thread ${threadId} has no checkpoint ${id}. Its history lists those that there are.`,
    )
  }
  if (command?.resume !== undefined && !place.is_head) {
    throw new RuntimeError(
      'hold_decided',
      `The thread has gone on since checkpoint ${id}. Read its state, and answer what waits there now.`,
    )
  }
}

async function insertRow(
  write: Queryable['query'],
  run: NewRun & { tenant: string },
  request: RunRequest,
  ahead: boolean,
) {
  try {
    return await write<RunRow & Record<string, unknown>>(INSERT, [
      run.thread_id,
      run.run_id,
      run.assistant_id,
      ahead,
      run.after_seconds,
      JSON.stringify(request),
      jsonb(run.metadata),
      run.multitask_strategy,
      // What the thread is told, beside whose it is: how its runs are configured.
      jsonb({
        configurable: Object.fromEntries(
          Object.entries(request.config.configurable ?? {}).filter(([key]) => isThreadConfig(key)),
        ),
      }),
      run.tenant,
      run.requested_by,
      run.requester_roles,
      request.input === null ? (request.checkpoint?.checkpoint_ns ?? '') : null,
      request.checkpoint?.checkpoint_id ?? null,
    ])
  } catch (error) {
    if (hasSqlState(error, '23502'))
      throw new RuntimeError('assistant_not_found', 'Assistant not found', { cause: error })
    if (!hasSqlState(error, '23505')) throw error
    throw new RuntimeError('run_exists', `Run ${run.run_id} already exists.`, { cause: error })
  }
}

/**
 * The validated resume map, and the holds that it answers: holds' answers from their rows, other interrupts' as the client gave them. `undefined`
 * where the run resumes nothing. Ids that no pause of the thread has are refused, and so is a second answer.
 */
async function resumeMap(
  client: Transaction,
  run: NewRun,
  thread: LockedThread,
  answers: InterruptAnswer[],
  by: Person,
): Promise<{ resume: NonNullable<RunRequest['command']>['resume']; answered: Hold[] }> {
  const given = run.request.command?.resume
  if (given === undefined) return { resume: undefined, answered: [] }
  const waiting = new Set(Object.values(thread.interrupts).flatMap((list) => list.map(({ id }) => id)))
  const { rows: active } = await client.query<{ request: RunRequest }>(ACTIVE, [run.thread_id])
  const said = new Set(active.flatMap(({ request }) => Object.keys(request.command?.resume ?? {})))
  for (const id of Object.keys(given)) {
    if (said.has(id)) throw new RuntimeError('hold_decided', `Interrupt ${id} already has an answer.`)
    if (!waiting.has(id))
      throw new RuntimeError(
        'invalid_resume',
        `Interrupt ${id} does not wait in this thread. Read the thread's interrupts.`,
      )
  }
  for (const { decisions } of answers) {
    for (const { approvalId, decision, edited } of decisions) {
      const { status } = await recordDecision(client, approvalId, decision, by, edited)
      if (status === 'pending') {
        throw new RuntimeError(
          'quorum_open',
          `A run goes on with the last word that approval ${approvalId} needs, and this is not it. Say it at POST /approvals/${approvalId}/decisions. Nothing was changed.`,
        )
      }
    }
  }
  const answered = await holdsOfInterrupts(client, run.thread_id, Object.keys(given))
  const holds = Map.groupBy(answered, (hold) => hold.interrupt_id)
  const resume = Object.entries(given).map(([id, value]) => [id, holdAnswer(holds.get(id)) ?? value] as const)
  return { resume: Object.fromEntries(resume), answered }
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
