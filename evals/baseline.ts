import { readFile, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { SCORER_NAMES, type ScorerName, type Scores } from './scorers/all.ts'
import type { CaseResult, SuiteResult } from './suite.ts'

/** What a suite was worth when somebody last said that it is good so, for one model. */
export const Baseline = z.strictObject({
  suite: z.string(),
  model: z.string(),
  fingerprint: z.string(),
  cases: z.record(
    z.string(),
    z.strictObject({
      passed: z.boolean(),
      scores: z.record(z.string(), z.number().min(0).max(1)),
      tool_calls: z.int(),
      optimal: z.int(),
      end_reason: z.string(),
      failure_class: z.string().nullable(),
      answer: z.string(),
    }),
  ),
})
export type Baseline = z.infer<typeof Baseline>

/** Where the rehearsal model's is kept. */
export const BASELINE = new URL('baselines/rehearsal.json', import.meta.url)

/** From here on a score counts as changed (requirements EV-08). */
const NOTABLE = 0.05

export interface Change {
  id: string
  tags: string[]
  /** By scorer: before, after. */
  scores: Partial<Record<ScorerName, [number, number]>>
  before: string
  after: string
}

export interface Diff {
  regressions: Change[]
  improvements: Change[]
  added: string[]
  /** In the baseline and not in this run. A suite that shrinks unseen proves less each time. */
  vanished: string[]
}

/** Null: there is none at this place. */
export async function readBaseline(file: string | URL): Promise<Baseline | null> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw cause
  }
  try {
    return Baseline.parse(JSON.parse(text))
  } catch (cause) {
    throw new Error(
      `${String(file)} is no baseline. Take it back from git, or write it anew with --update-baseline.`,
      {
        cause,
      },
    )
  }
}

export async function writeBaseline(file: string | URL, result: SuiteResult): Promise<void> {
  await writeFile(file, `${JSON.stringify(baselineOf(result), null, 2)}\n`)
}

/** What of a result is the same in every run of it. */
export function baselineOf({ suite, model, fingerprint, cases }: SuiteResult): Baseline {
  const kept = cases
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ id, passed, scores, tool_calls, optimal, end_reason, failure_class, answer }) => [
      id,
      { passed, scores, tool_calls, optimal, end_reason, failure_class, answer },
    ])
  return Baseline.parse({ suite, model, fingerprint, cases: Object.fromEntries(kept) })
}

/**
 * Compares case by case. `partial`: only some cases were run, so that the others have not vanished. Throws where the
 * baseline is another model's or another suite's: such numbers do not compare.
 */
export function compare(result: SuiteResult, baseline: Baseline, { partial = false } = {}): Diff {
  for (const key of ['suite', 'model', 'fingerprint'] as const) {
    if (result[key] !== baseline[key])
      throw new Error(
        `The baseline is for the ${key} "${baseline[key]}", and this run is of "${result[key]}". Write a new one with --update-baseline if that is meant.`,
      )
  }
  const changes = result.cases.flatMap((now) => {
    const before = baseline.cases[now.id]
    return before === undefined ? [] : [{ now, before }]
  })
  const changed = (better: boolean) =>
    changes.flatMap(({ now, before }) => {
      const scores = changesOf(before.scores, now.scores, better)
      return Object.keys(scores).length === 0 ? [] : [changeOf(now, before.answer, scores)]
    })
  const ids = new Set(result.cases.map(({ id }) => id))
  return {
    regressions: changed(false),
    improvements: changed(true),
    added: [...ids].filter((id) => !(id in baseline.cases)),
    vanished: partial ? [] : Object.keys(baseline.cases).filter((id) => !ids.has(id)),
  }
}

function changesOf(before: Record<string, number>, after: Scores, better: boolean): Change['scores'] {
  const pairs = SCORER_NAMES.flatMap((name): [ScorerName, [number, number]][] => {
    // A scorer that is newer than the baseline has nothing to be compared with.
    const was = before[name]
    if (was === undefined) return []
    const delta = better ? after[name] - was : was - after[name]
    return delta > NOTABLE ? [[name, [was, after[name]]]] : []
  })
  return Object.fromEntries(pairs)
}

function changeOf({ id, tags, answer }: CaseResult, before: string, scores: Change['scores']): Change {
  return { id, tags, scores, before, after: answer }
}
