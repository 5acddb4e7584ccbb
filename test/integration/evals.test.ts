import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Baseline, BASELINE, baselineOf, compare, readBaseline } from '../../evals/baseline.ts'
import { callsOf } from '../../evals/case.ts'
import { SUITE, trajectories } from '../../evals/datasets/trajectories.ts'
import { diffOf, reportOf } from '../../evals/report.ts'
import { type CaseResult, runSuite, type SuiteResult } from '../../evals/suite.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

/** More than forty cases with real tools: 30 s on two cores that others use too, minutes on crowded ones. */
const SUITE_MS = 300_000

describe('the trajectory suite', () => {
  let server: TestServer
  let result: SuiteResult
  let baseline: Baseline

  beforeAll(async () => {
    server = await startTestServer()
    result = await runSuite(trajectories(), server, { suite: SUITE })
    const stored = await readBaseline(BASELINE)
    if (stored === null) throw new Error('The baseline is missing: take it back from git.')
    baseline = stored
  }, SUITE_MS)
  afterAll(() => server?.close())

  test('every case passes, and no mail left that no case accounts for', () => {
    expect(result.cases.filter(({ passed }) => !passed).map(({ id, why }) => [id, ...why])).toEqual([])
    expect(result.strays).toEqual([])
  })

  test('it is at the stored baseline', () => {
    expect(compare(result, baseline)).toEqual({ regressions: [], improvements: [], added: [], vanished: [] })
    expect(baselineOf(result)).toEqual(baseline)
  })

  test('the diff finds a case that has become worse, one that has vanished and one that is new', () => {
    const [worse, gone, ...others] = result.cases as [CaseResult, CaseResult, ...CaseResult[]]
    const doctored = {
      ...result,
      cases: [
        { ...worse, scores: { ...worse.scores, needless: 0.5 }, answer: 'In twelve steps.' },
        ...others,
        { ...gone, id: 'never-seen' },
      ],
    }
    const diff = compare(doctored, baseline)
    expect(diff).toMatchObject({
      regressions: [{ id: worse.id, scores: { needless: [1, 0.5] }, before: worse.answer }],
      improvements: [],
      added: ['never-seen'],
      vanished: [gone.id],
    })
    const text = diffOf(diff)
    expect(text).toContain(`REGRESSION   ${worse.id}: needless 1 -> 0.5`)
    expect(text).toContain('after:  In twelve steps.')
    expect(text).toContain(`VANISHED     ${gone.id}`)
    expect(text).toContain('new          never-seen')
  })

  test('the diff finds a case that has become better, and lets a hair pass', () => {
    const cases = Object.entries(baseline.cases)
    const [[better], [hair]] = cases as [[string, unknown], [string, unknown]]
    const lowered = structuredClone(baseline)
    Object.assign(lowered.cases[better]?.scores ?? {}, { answer: 0.6 })
    Object.assign(lowered.cases[hair]?.scores ?? {}, { answer: 0.96 })
    expect(compare(result, lowered)).toMatchObject({
      regressions: [],
      improvements: [{ id: better, scores: { answer: [0.6, 1] } }],
    })
  })

  test('a baseline of another model is not compared with', () => {
    expect(() => compare(result, { ...baseline, fingerprint: 'another' })).toThrow(/fingerprint "another"/)
  })

  test('a partial run has no vanished cases', () => {
    const one = { ...result, cases: result.cases.slice(0, 1) }
    expect(compare(one, baseline, { partial: true }).vanished).toEqual([])
    expect(compare(one, baseline).vanished).toHaveLength(result.cases.length - 1)
  })

  test('the report shows each case, and each tag with what passed of it', () => {
    const [first] = result.cases
    const text = reportOf({ ...result, strays: ['left.eml'] })
    expect(text).toContain(`${result.cases.length} of ${result.cases.length} cases pass.`)
    expect(text).toContain('left.eml')
    for (const { id } of result.cases) expect(text).toContain(id)
    expect(text).toMatch(new RegExp(`^${first?.agent} +\\d+ +\\d+ +1$`, 'm'))
  })
})

test('the cases have ids of their own, all three agents, and an optimum that their steps keep to', () => {
  const cases = trajectories()
  expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length)
  expect(new Set(cases.map(({ agent }) => agent))).toEqual(new Set(['react', 'plan_and_solve', 'supervisor']))
  for (const { id, expected } of cases)
    expect({ id, calls: expected.steps.flatMap(callsOf).length }).toEqual({ id, calls: expected.optimal })
})
