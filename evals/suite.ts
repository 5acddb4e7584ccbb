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
  const mails = new Set<string>()
  const results = await inParallel([...cases], lanes, async (one) => {
    const result = await drive(one, target).then(
      (seen) => {
        if (seen.model !== '') models.add(JSON.stringify([seen.model, seen.fingerprint]))
        for (const path of seen.mailPaths) mails.add(basename(path))
        return score(one, seen)
      },
      (error: unknown) => notRun(one, error),
    )
    onResult?.(result)
    return result
  })
  if (models.size > 1)
    throw new Error(`A suite is run with one model. These answered: ${[...models].join(', ')}.`)
  const [model, fingerprint] = JSON.parse([...models][0] ?? '["none","none"]') as [string, string]
  const outbox = await readdir(join(target.dataDir, 'outbox')).catch(() => [])
  const strays = outbox.filter((file) => file.endsWith('.eml') && !mails.has(file))
  return { suite, model, fingerprint, cases: results, strays }
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

/** A case that broke off: worth nothing, and the others still count. */
function notRun({ id, agent, tags, expected }: EvalCase, error: unknown): CaseResult {
  return {
    id,
    agent,
    tags,
    passed: false,
    scores: Object.fromEntries(SCORER_NAMES.map((name) => [name, 0])) as Scores,
    why: [`it broke off: ${error instanceof Error ? error.message : String(error)}`],
    tool_calls: 0,
    optimal: expected.optimal,
    turns: 0,
    tokens: 0,
    end_reason: 'none',
    failure_class: 'other',
    answer: '',
    ms: 0,
  }
}

/** Rounded down, so that what is not perfect never looks it. */
function rounded(value: number): number {
  return Math.floor(value * 1_000) / 1_000
}
