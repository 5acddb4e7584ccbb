import { expect, inject, test } from 'vitest'
import { chaos } from '../../chaos/chaos.ts'
import { table } from '../../chaos/table.ts'

const { postgres, all } = inject('services')

// Each failpoint has a test of its own beside this one.
test.skipIf(postgres === null || !all)(
  'a small load survives a small schedule of faults',
  { timeout: 240_000 },
  async ({ signal }) => {
    const options = {
      runs: 40,
      seed: 'ci',
      leaseMs: 2_000,
      servers: 3,
      concurrency: 8,
      embedded: false,
      verbose: false,
      timeoutMs: 200_000,
      ...(postgres === null ? {} : { databaseUrl: postgres }),
    }
    const report = await chaos(options, { say: () => {}, signal })
    console.log(table(report.lines))
    // How long a takeover takes is for a machine that does nothing else.
    const wrong = report.lines.filter(({ ok, what }) => !ok && what !== 'takeover latency')
    expect(wrong, table(report.lines)).toEqual([])
  },
)
