import { answerOf, type Hold } from '../runtime/hold.ts'
import { newId } from '../runtime/ids.ts'
import { toJson } from '../runtime/json.ts'
import type { RunRequest } from '../runtime/run.ts'
import type { Queryable } from './database.ts'
import { holdsOfInterrupts } from './hold-row.ts'
import { queuedSql } from './thread-status.ts'

const RESUME = `
  with paused as (
    select tenant_id, assistant_id, requested_by, requester_roles, metadata from runs where thread_id = $1 and run_id = $2
  )
  insert into runs (thread_id, run_id, tenant_id, assistant_id, requested_by, requester_roles, ahead, request, metadata,
    multitask_strategy)
  select $1, $3, tenant_id, assistant_id, requested_by, requester_roles, true, $4::json, metadata, 'enqueue' from paused`

const PAUSED_REQUEST = 'select request from runs where thread_id = $1 and run_id = $2'

const RESUMED = 'update holds set resumed_run_id = $3 where thread_id = $1 and interrupt_id = $2'

const QUEUED = queuedSql()

/** Where this was the message's last open hold, queues the run that goes on, before everything else of the thread. */
export async function resumeIfComplete(client: Queryable, hold: Hold): Promise<Hold> {
  const holds = await holdsOfInterrupts(client, hold.thread_id, [hold.interrupt_id])
  if (holds.some(({ status }) => status === 'pending')) return hold
  const { rows } = await client.query<{ request: RunRequest }>(PAUSED_REQUEST, [hold.thread_id, hold.run_id])
  const [paused] = rows
  if (paused === undefined) throw new Error(`Run ${hold.run_id}, which paused at the hold, is gone.`)
  const request: RunRequest = {
    ...paused.request,
    input: null,
    command: { resume: { [hold.interrupt_id]: toJson(answerOf(holds)) } },
    checkpoint: null,
  }
  const runId = newId()
  await client.query(RESUME, [hold.thread_id, hold.run_id, runId, JSON.stringify(request)])
  await client.query(RESUMED, [hold.thread_id, hold.interrupt_id, runId])
  await client.query(QUEUED, [hold.thread_id])
  return { ...hold, resumed_run_id: runId }
}
