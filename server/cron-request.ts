import type { ScheduledCron } from '../runtime/cron.ts'
import { RuntimeError } from '../runtime/errors.ts'
import { newId } from '../runtime/ids.ts'
import type { StartRequest } from '../runtime/start-run.ts'
import { LOCAL } from '../runtime/people.ts'
import { personOf, type User } from './auth.ts'
import { startOf } from './run-request.ts'
import { RunCreate } from './schemas/runs.ts'

/** What its creator would have asked for at the due time, by the defaults of today. */
export function startOfCron(cron: ScheduledCron): StartRequest {
  const { cron_id, assistant_id, thread_id: threadId, payload, metadata, tenant, caller, allowed } = cron
  const body = RunCreate.safeParse({ ...payload, assistant_id, metadata })
  if (!body.success) {
    const [issue] = body.error.issues
    throw new RuntimeError(
      'invalid_input',
      `payload.${issue?.path.join('.')}: ${issue?.message}. Change the cron.`,
    )
  }
  const user = (caller.user ?? undefined) as User | undefined
  const start = startOf(threadId ?? newId(), body.data, {
    caller: { user, person: { ...(user === undefined ? LOCAL : personOf(user)), tenant } },
    headers: caller.headers,
    allowed,
  })
  return {
    ...start,
    alsoBy: caller.changed_by ?? [],
    metadata: { ...start.metadata, cron_id },
    ...(threadId === null
      ? // Nobody had the thread before, so there is nothing that it would have to be.
        { createThread: cron.on_run_completed === 'keep' ? true : ('temporary' as const), allowed: {} }
      : {}),
  }
}
