import type { EvalCase } from '../case.ts'
import { planCases } from './plan-and-solve.ts'
import { reactCases } from './react.ts'
import { supervisorCases } from './supervisor.ts'

export const SUITE = 'trajectories'

/** Every case of the suite, with its files and its right answers worked out. */
export function trajectories(): EvalCase[] {
  return [...reactCases(), ...planCases(), ...supervisorCases()]
}
