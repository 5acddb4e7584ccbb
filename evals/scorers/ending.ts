import { allOrNothing, type Scorer } from './score.ts'

/** Whether the last run ended as it should, with the reason that the state names. */
export const scoreEnding: Scorer = ({ expected }, { status, endReason, error }) => {
  if (error !== null) return allOrNothing(`a run failed: ${error}`)
  if (status !== 'success') return allOrNothing(`the last run ended as ${status}`)
  return allOrNothing(endReason === expected.endReason ? null : `it ended with ${endReason}`)
}
