import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { inParallel } from '../nodes/in-parallel.ts'
import type { Agent, EvalCase, FailureClass } from './case.ts'
import { drive, type Target } from './drive.ts'
import { SCORER_NAMES, SCORERS, type Scores } from './scorers/all.ts'
import { failureOf } from './scorers/failure.ts'
import { short } from './scorers/score.ts'

export interface CaseResult {
  id: string
  agent: Agent
  tags: string[]
  passed: boolean
  scores: Scores
  /** What is missing from each score. */
  why: string[]
  tool_calls: number
  optimal: number
  turns: number
  tokens: number
  end_reason: string
  failure_class: FailureClass | null
  /** The first 120 characters, without what is different each time. */
  answer: string
  ms: number
}

export interface SuiteResult {
  suite: string
  /** What the model says of itself; a baseline is good for one of them. */
  model: string
  fingerprint: string
  cases: CaseResult[]
  /** Mails in the outbox that no case's `send_email` owns up to. */
  strays: string[]
}

export interface SuiteOptions {
  suite: string
  /** Cases at a time. */
  lanes?: number
  onResult?: (result: CaseResult) => void
}

/** Runs the cases against a server that nobody else uses, and scores each. */
export async function runSuite(
  cases: readonly EvalCase[],
  target: Target,
  { suite, lanes = 2, onResult }: SuiteOptions,
): Promise<SuiteResult> {
  const models = new Set<string>()
  const mailPaths = new Set<string>()
  const results = await inParallel([...cases], lanes, async (one) => {
    try {
      const seen = await drive(one, target)
      models.add(`${seen.model}\n${seen.fingerprint}`)
      for (const path of seen.mailPaths) mailPaths.add(basename(path))
      const result = score(one, seen)
      onResult?.(result)
      return result
    } catch (cause) {
      throw new Error(
        `Case ${one.id} could not be run: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          cause,
        },
      )
    }
  })
  models.delete('\n')
  if (models.size > 1)
    throw new Error(`The cases were answered by ${models.size} models. A suite is run with one.`)
  const [model = '', fingerprint = ''] = [...models].join().split('\n')
  const sent = await readdir(join(target.dataDir, 'outbox')).catch(() => [])
  return {
    suite,
    model,
    fingerprint,
    cases: results,
    strays: sent.filter((file) => file.endsWith('.eml') && !mailPaths.has(file)),
  }
}

/** What a run of a case is worth. */
export function score(one: EvalCase, seen: Awaited<ReturnType<typeof drive>>): CaseResult {
  const scored = SCORER_NAMES.map((name) => ({ name, ...SCORERS[name](one, seen) }))
  return {
    id: one.id,
    agent: one.agent,
    tags: one.tags,
    passed: scored.every(({ value }) => value === 1),
    scores: Object.fromEntries(scored.map(({ name, value }) => [name, rounded(value)])) as Scores,
    why: scored.flatMap(({ name, why }) => why.map((text) => `${name}: ${text}`)),
    tool_calls: seen.calls.length,
    optimal: one.expected.optimal,
    turns: seen.turns,
    tokens: seen.tokens,
    end_reason: seen.endReason,
    failure_class: failureOf(seen),
    answer: short(seen.answer.replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '…')),
    ms: seen.ms,
  }
}

/** Rounded down, so that what is not perfect never looks it. */
function rounded(value: number): number {
  return Math.floor(value * 1_000) / 1_000
}
