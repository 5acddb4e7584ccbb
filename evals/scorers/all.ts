import { scoreAnswer } from './answer.ts'
import { scoreEnding } from './ending.ts'
import { scoreFailure } from './failure.ts'
import { scoreHolds } from './holds.ts'
import { scoreNeedless } from './needless.ts'
import { scoreOutcome } from './outcome.ts'
import type { Scorer } from './score.ts'
import { scoreTrajectory } from './trajectory.ts'

/** In the order of the report. A case passes when every one of them gives 1. */
export const SCORERS = {
  answer: scoreAnswer,
  trajectory: scoreTrajectory,
  needless: scoreNeedless,
  holds: scoreHolds,
  outcome: scoreOutcome,
  ending: scoreEnding,
  failure: scoreFailure,
} satisfies Record<string, Scorer>

export type ScorerName = keyof typeof SCORERS
export type Scores = Record<ScorerName, number>
export const SCORER_NAMES = Object.keys(SCORERS) as ScorerName[]
