import { RuntimeError } from '../runtime/errors.ts'
import type { NewRun } from '../runtime/run.ts'
import { topics } from '../runtime/topics.ts'
import { cancelHolds } from './cancel-holds.ts'
import type { Transaction } from './database.ts'
import { person } from './record-of-holds.ts'
import { reopenHolds, takeAway } from './reopen-holds.ts'
import { notify } from './signals.ts'

const ACTIVE = `select 1 from runs where thread_id = $1 and status in ('pending', 'running') limit 1`

const PENDING_HOLDS = `select approval_id from holds where thread_id = $1 and status = 'pending'`

const STOP_RUNNING = `
  update runs set cancel_action = $2, updated_at = now()
  where thread_id = $1 and status = 'running'
  returning run_id`

const ROLL_BACK_BEGUN = `
  update runs set cancel_action = 'rollback', updated_at = now()
  where thread_id = $1 and status = 'pending' and attempt > 0`

const INTERRUPT_PENDING = `
  update runs set status = 'interrupted', updated_at = now()
  where thread_id = $1 and status = 'pending'
  returning run_id`

/** One that was handed over has checkpoints: a worker has to roll it back. */
const DELETE_PENDING = `delete from runs where thread_id = $1 and status = 'pending' and attempt = 0 returning run_id`

/** Applies the double-texting rule for a run with new input. */
export async function makeRoom(client: Transaction, run: NewRun, by: string): Promise<void> {
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
  await takeAway(client, threadId, run.run_id)
  const running = await client.query<{ run_id: string }>(STOP_RUNNING, [threadId, strategy])
  const pending = await client.query<{ run_id: string }>(
    strategy === 'rollback' ? DELETE_PENDING : INTERRUPT_PENDING,
    [threadId],
  )
  if (strategy === 'rollback') await client.query(ROLL_BACK_BEGUN, [threadId])
  await reopenHolds(
    client,
    threadId,
    pending.rows.map(({ run_id }) => run_id),
    person(by),
    'run_dropped',
  )
  await cancelHolds(client, threadId, { who: person(by), cause: 'new_input', run: run.run_id })
  const told = [
    ...running.rows.map(({ run_id }) => topics.cancel(run_id)),
    ...pending.rows.map(({ run_id }) => topics.run(run_id)),
  ]
  if (told.length > 0) await notify(client, ...told)
}
