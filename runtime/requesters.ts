import { isDeepStrictEqual } from 'node:util'
import type { Hold } from './hold.ts'
import type { NewRun } from './run.ts'
import type { Thread } from './thread.ts'

/**
 * Whose wish a run is that may answer holds. Answers alone go on with what was asked for; with anything of its sender's
 * own beside them the run is their wish too.
 */
export function requestersOf(
  run: NewRun,
  thread: Pick<Thread, 'config'>,
  answered: Hold[],
): Pick<NewRun, 'requested_by' | 'requester_roles'> {
  const asked = answered.flatMap(({ requested_by }) => requested_by)
  if (asked.length > 0 && isOnlyAnswers(run, thread, answered))
    return { requested_by: [...new Set(asked)], requester_roles: answered[0]?.requester_roles ?? null }
  const { requested_by: own, requester_roles } = run
  return { requested_by: [...new Set([...own, ...asked])], requester_roles }
}

/** By the assistant that asked, and as the thread is configured. */
function isOnlyAnswers(
  { assistant_id, request: { command, config, context } }: NewRun,
  thread: Pick<Thread, 'config'>,
  answered: Hold[],
): boolean {
  const { resume = {}, ...more } = command ?? {}
  const usual = thread.config.configurable ?? {}
  return (
    Object.keys(more).length === 0 &&
    Object.keys(resume).every((id) => answered.some(({ interrupt_id }) => interrupt_id === id)) &&
    answered.every((hold) => hold.assistant_id === assistant_id) &&
    Object.keys(context).length === 0 &&
    Object.entries(config.configurable ?? {}).every(([key, value]) => isDeepStrictEqual(value, usual[key]))
  )
}
