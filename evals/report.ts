import type { Change, Diff } from './baseline.ts'
import { SCORER_NAMES } from './scorers/all.ts'
import type { CaseResult, SuiteResult } from './suite.ts'

/** The results as tables for people: per case, then per tag, then what failed and why. */
export function reportOf({ suite, model, fingerprint, cases, strays }: SuiteResult): string {
  const passed = cases.filter((one) => one.passed).length
  const failed = cases.filter((one) => !one.passed)
  return [
    `${suite}, model ${model} (${fingerprint})`,
    '',
    columns([CASE_HEADING, ...cases.map(caseRow)]),
    '',
    columns([['tag', 'cases', 'passed', 'mean'], ...tagRows(cases)]),
    '',
    `${passed} of ${cases.length} cases pass.`,
    ...failed.flatMap(({ id, why, failure_class }) => [
      '',
      `FAILED ${id} (${failure_class ?? 'no failure class'})`,
      ...why.map((line) => `  ${line}`),
    ]),
    ...strays.map((file) => `FAILED the outbox has a mail that no case sent: ${file}`),
  ].join('\n')
}

export function diffOf({ regressions, improvements, added, vanished }: Diff): string {
  const same = regressions.length + improvements.length + added.length + vanished.length === 0
  return [
    'Against the baseline:',
    ...(same ? ['  nothing has changed'] : []),
    ...regressions.flatMap((change) => changeLines('REGRESSION', change)),
    ...improvements.flatMap((change) => changeLines('improvement', change)),
    ...added.map((id) => `  new          ${id}: not in the baseline, which --update-baseline would change`),
    ...vanished.map((id) => `  VANISHED     ${id}: in the baseline and not in this run`),
  ].join('\n')
}

function changeLines(kind: string, { id, scores, before, after }: Change): string[] {
  const moved = Object.entries(scores).map(([name, [was, is]]) => `${name} ${was} -> ${is}`)
  return [`  ${kind.padEnd(12)} ${id}: ${moved.join(', ')}`, `    before: ${before}`, `    after:  ${after}`]
}

const CASE_HEADING = ['case', ...SCORER_NAMES, 'calls', 'turns', 'tokens', 'ms', 'end', 'failure class']

function caseRow(one: CaseResult): string[] {
  return [
    one.passed ? one.id : `${one.id} !`,
    ...SCORER_NAMES.map((name) => number(one.scores[name])),
    one.tool_calls === one.optimal ? String(one.tool_calls) : `${one.tool_calls}/${one.optimal}`,
    String(one.turns),
    String(one.tokens),
    String(one.ms),
    one.end_reason,
    one.failure_class ?? '-',
  ]
}

/** Per slice: an aggregate can hide one that has fallen (requirements EV-07). */
function tagRows(cases: CaseResult[]): string[][] {
  const tags = [...new Set(cases.flatMap((one) => [one.agent, ...one.tags]))]
  return tags.map((tag) => {
    const own = cases.filter((one) => one.agent === tag || one.tags.includes(tag))
    return [
      tag,
      String(own.length),
      String(own.filter((one) => one.passed).length),
      number(mean(own.map((one) => mean(SCORER_NAMES.map((name) => one.scores[name]))))),
    ]
  })
}

function mean(numbers: number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0) / numbers.length
}

/** Two decimals, rounded down: what is shown as 1 is 1. */
function number(value: number): string {
  return value === 1 ? '1' : (Math.floor(value * 100) / 100).toFixed(2)
}

/** Words to the left, numbers to the right. */
function columns(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  const right = widths.map((_, at) => rows.slice(1).every((row) => /^[\d./]+$/.test(row[at] ?? '')))
  const line = (row: string[]) =>
    row
      .map((cell, at) => (right[at] ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd()
  return rows.map(line).join('\n')
}
