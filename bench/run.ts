import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { compare } from './compare.ts'
import { format, ratiosOf, withTable, worse } from './report.ts'
import { SIDES } from './sides.ts'

/**
 * `npm run bench [-- --rounds 5] [--only wait,rate-32] [--sides holdpoint,official] [--json] [--docs] [--save] [--check]`
 *
 * `--docs` writes the table into docs/performance.md; `--save` the ratios into bench/baseline.json; `--check` ends with 1
 * where a ratio is much worse than there.
 */

const DOCS = new URL('../docs/performance.md', import.meta.url)
const BASELINE = new URL('baseline.json', import.meta.url)

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
    sides: { type: 'string', default: SIDES.join() },
    json: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
})

const asked = values.sides.split(',')
const report = await compare({
  rounds: Number(values.rounds),
  sides: SIDES.filter((name) => asked.includes(name)),
  only: values.only?.split(','),
})
process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : format(report))
if (values.docs) await writeFile(DOCS, withTable(await readFile(DOCS, 'utf8'), format(report)))
if (values.save) await writeFile(BASELINE, `${JSON.stringify(ratiosOf(report), null, 2)}\n`)
if (values.check) {
  const lines = worse(report, JSON.parse(await readFile(BASELINE, 'utf8')) as Record<string, number>)
  for (const line of lines) process.stderr.write(`${line}\n`)
  if (lines.length > 0) process.exitCode = 1
}
