import type { CronError, Fired, ScheduledCron } from '../runtime/cron.ts'
import { RuntimeError } from '../runtime/errors.ts'
import { failpoint } from '../runtime/failpoint.ts'
import type { Run } from '../runtime/run.ts'
import { nextTime } from '../runtime/schedule.ts'
import { newRun, type StartRequest } from '../runtime/start-run.ts'
import type { ThreadTtl } from '../runtime/thread.ts'
import { CRON_COLUMNS, type CronRow, NOW, toCron, whenOf } from './cron-row.ts'
import type { Queryable, Transaction } from './database.ts'
import { insertRun } from './insert-run.ts'

/**
 * Never waits for a lock, so it is part of no deadlock: whoever deletes a thread has its row, and then wants its crons'.
 * The locks are taken with the row's newest version, which is looked at again: what another server moved on is not due.
 * The time is a subquery, so that it is asked for once and the index is used.
 */
const DUE = (threads: string, place: string, locked: string) => `
  select ${CRON_COLUMNS}, c.tenant_id as tenant, c.caller, c.allowed, ${NOW} as now
  from crons c ${threads}
  where ${place} and c.next_run_date <= (select ${NOW}) and c.cron_id <> all ($2::uuid[])
  order by c.next_run_date limit 1
  for update of ${locked} skip locked`
const DUE_ALONE = DUE('', 'c.thread_id is null', 'c')
const DUE_ON_THREAD = DUE('join threads t on t.thread_id = c.thread_id', 'true', 'c, t')

const ADVANCE = 'update crons set next_run_date = $2, last_error = $3::json where cron_id = $1'

interface DueRow extends CronRow, Pick<ScheduledCron, 'caller' | 'allowed' | 'tenant'> {
  now: Date
}

/** Locks a cron that is due and that nobody else has. */
export async function takeDue(client: Queryable, values: unknown[]): Promise<DueRow | undefined> {
  const alone = await client.query<DueRow>(DUE_ALONE, values)
  if (alone.rows[0] !== undefined) return alone.rows[0]
  return (await client.query<DueRow>(DUE_ON_THREAD, values)).rows[0]
}

interface FireOptions {
  startOf: (cron: ScheduledCron) => StartRequest
  threadTtl: ThreadTtl | undefined
}

/** Starts its run, or notes why it is refused, and moves its next time on. */
export async function fireDue(
  client: Transaction,
  row: DueRow,
  { startOf, threadTtl: ttl }: FireOptions,
): Promise<Fired> {
  const { caller, allowed, tenant, now } = row
  const cron = toCron(row)
  // Past now and not past the due time: all that were missed meanwhile are this one run.
  const next = nextTime(whenOf(cron), now)
  await client.query('savepoint fired')
  const recorded = client.recorded.length
  let run: Run
  try {
    const start = startOf({ ...cron, tenant, caller, allowed })
    run = await insertRun(client, newRun(start, cron.assistant_id, null), {
      ...start,
      answers: [],
      ttl,
    })
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error
    const missed: CronError = {
      due: cron.next_run_date ?? now.toISOString(),
      error: error.code,
      message: error.message,
    }
    await client.query('rollback to savepoint fired')
    client.recorded.splice(recorded)
    await client.query(ADVANCE, [cron.cron_id, next, JSON.stringify(missed)])
    return { cron_id: cron.cron_id, missed }
  }
  await client.query(ADVANCE, [cron.cron_id, next, null])
  await failpoint('run.create:before')
  return { cron_id: cron.cron_id, run }
}
