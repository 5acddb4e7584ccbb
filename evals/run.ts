import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { startTestServer } from '../test/support/server.ts'
import { BASELINE, compare, readBaseline, writeBaseline } from './baseline.ts'
import type { EvalCase } from './case.ts'
import { SUITE, trajectories } from './datasets/trajectories.ts'
import { diffOf, reportOf } from './report.ts'
import { runSuite, type SuiteResult } from './suite.ts'

const HELP = `npm run evals [-- options]
  --case ID           run this case alone (may be repeated)
  --json FILE         write the results to FILE too
  --update-baseline   make this run the baseline
  --help
`

/** Exit code 1: a case fails, has become worse or has vanished, or there is nothing to compare with. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      case: { type: 'string', multiple: true },
      json: { type: 'string' },
      'update-baseline': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return say(HELP, 0)
  const update = values['update-baseline']
  const partial = values.case !== undefined
  if (update && partial)
    throw new Error('A baseline is made of all cases: leave out --case or --update-baseline.')

  const result = await run(chosen(values.case))
  say(`\n${reportOf(result)}\n`)
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(result, null, 2)}\n`)
  const failing = result.cases.filter(({ passed }) => !passed).length + result.strays.length
  if (update) {
    await writeBaseline(BASELINE, result)
    return say(
      '\nThis run is the baseline now. Look at what changed in it before you commit it.\n',
      failing > 0 ? 1 : 0,
    )
  }
  return judge(result, failing, partial)
}

async function judge(result: SuiteResult, failing: number, partial: boolean): Promise<number> {
  const baseline = await readBaseline(BASELINE)
  if (baseline === null)
    return say(
      '\nThere is no baseline to compare with. Make this run the first: npm run evals -- --update-baseline\n',
      1,
    )
  const diff = compare(result, baseline, { partial })
  say(`\n${diffOf(diff)}\n`)
  return failing > 0 || diff.regressions.length > 0 || diff.vanished.length > 0 ? 1 : 0
}

function chosen(ids: string[] | undefined): EvalCase[] {
  const cases = trajectories()
  if (ids === undefined) return cases
  return ids.map((id) => {
    const found = cases.find((one) => one.id === id)
    if (found === undefined)
      throw new Error(`There is no case "${id}". There are:\n  ${cases.map((one) => one.id).join('\n  ')}`)
    return found
  })
}

async function run(cases: EvalCase[]): Promise<SuiteResult> {
  const server = await startTestServer()
  try {
    return await runSuite(cases, server, {
      suite: SUITE,
      onResult: ({ id, passed, ms }) =>
        process.stderr.write(`${passed ? 'pass' : 'FAIL'}  ${id} (${ms} ms)\n`),
    })
  } finally {
    await server.close()
  }
}

function say(text: string, code = 0): number {
  process.stdout.write(text)
  return code
}

if (import.meta.main) {
  main().then(
    (code) => {
      process.exitCode = code
    },
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
      process.exitCode = 1
    },
  )
}
