import { parseArgs } from 'node:util'
import { compare } from './compare.ts'
import { format } from './report.ts'

/**
 * What is promised of our server against the official one, both at the protocol's door: one client that waits, the first
 * event of a stream, and 32 clients. `npm run bench:protocol [-- --rounds 5] [--json]`
 */
const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } },
})
const report = await compare({
  rounds: Number(values.rounds),
  sides: ['official', 'holdpoint'],
  only: ['wait', 'first', 'rate-32'],
})
process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : format(report))
