import type { FailureClass } from '../case.ts'
import type { Observation } from '../observation.ts'
import { allOrNothing, type Scorer } from './score.ts'

/** Whether the agent ran into what the case put in its way, and into nothing else. */
export const scoreFailure: Scorer = ({ expected }, seen) => {
  const found = failureOf(seen)
  return allOrNothing(
    found === expected.failure
      ? null
      : `it ran into ${found ?? 'nothing'} instead of ${expected.failure ?? 'nothing'}`,
  )
}

/**
 * The class of what went wrong (requirements EV-03), by end reasons and error codes alone. The gravest one counts.
 * A call that a person rejected is no failure: that is what holds are for.
 */
export function failureOf({ error, endReason, status, calls, holds }: Observation): FailureClass | null {
  if (error !== null && /context.{0,20}(length|window|overflow)|maximum context/i.test(error))
    return 'context_overflow'
  if (error !== null || status !== 'success') return 'other'
  if (endReason !== 'completed') return 'planning'
  const refused = new Set(holds.filter(({ released }) => !released).map(({ hold }) => hold.call_id))
  const codes = calls.filter(({ id }) => !refused.has(id)).map(({ ends }) => ends)
  if (codes.some((code) => code === 'TIMEOUT' || code === 'INTERNAL')) return 'external_tool'
  return codes.some((code) => code === 'INVALID_ARGS' || code === 'DENIED') ? 'tool_misuse' : null
}
