import type { EvalCase } from '../case.ts'
import type { Observation } from '../observation.ts'

/** From 0 to 1, and in words what is missing from 1. */
export interface Score {
  value: number
  why: string[]
}

export type Scorer = (one: EvalCase, seen: Observation) => Score

/** A table that is wrong is wrong in every row: a few of them say it. */
const SHOWN = 5

/** The share of what was checked that is as it should be. */
export function share(checked: number, problems: string[]): Score {
  if (problems.length === 0) return { value: 1, why: [] }
  const more = problems.length - SHOWN
  return {
    value: Math.max(0, 1 - problems.length / Math.max(1, checked)),
    why: [...problems.slice(0, SHOWN), ...(more > 0 ? [`and ${more} more`] : [])],
  }
}

export function allOrNothing(problem: string | null): Score {
  return problem === null ? { value: 1, why: [] } : { value: 0, why: [problem] }
}

/** A text for a report: one line, not too long. */
export function short(text: string, length = 120): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`
}
