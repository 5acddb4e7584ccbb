import { readFileSync } from 'node:fs'
import { parse } from 'csv-parse/sync'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ChatServer } from '../../../models/chat-protocol.ts'
import { startRehearsal } from '../../../models/rehearsal.ts'
import { messyTable } from './messy-tables.ts'
import { runAgent, type AgentRun } from './rehearsal-agent.ts'

let model: ChatServer
beforeAll(async () => {
  model = await startRehearsal()
})
afterAll(() => model.close())

const TABLES = 60

describe('a table that it has never seen', () => {
  test.for(Array.from({ length: TABLES }, (_, at) => at + 1))(
    'number %i is totalled as csv-parse does',
    async (seed) => {
      const table = messyTable(seed)
      const run = await runAgent(model.url, table.task, {
        files: { [table.file]: table.text, 'readme.txt': 'nothing' },
      })
      expect(table.totals, 'the generator and csv-parse agree').toEqual(parsedTotals(table))
      expect(mailedTotals(run), `${table.task}\n${run.answer}\n${table.text.slice(0, 600)}`).toEqual(
        table.totals,
      )
      expect(run.calls.map(({ name }) => name)).toEqual([
        ...(/csv|tsv/.test(table.task) ? [] : ['list_files']),
        'read_file',
        'run_javascript',
        'send_email',
      ])
    },
  )
})

test.each([
  ['orders.csv', ',', 'Customer', 'Amount', (cell: string) => Number(cell.replace(/[^\d.-]/g, ''))],
  [
    'refunds.tsv',
    '\t',
    'Kunde',
    'Betrag',
    (cell: string) => Number(cell.replace(/[^\d,-]/g, '').replace(',', '.')),
  ],
])(
  'the shipped %s is totalled as its README says',
  async (file, delimiter, groupColumn, valueColumn, read) => {
    const text = readFileSync(new URL(`../../../examples/${file}`, import.meta.url), 'utf8')
    const run = await runAgent(
      model.url,
      `Total ${file} by customer and mail the result to ops@example.com`,
      { files: { [file]: text } },
    )
    const readCents = (cell: string) => Math.round(read(cell) * 100)
    const totals = parsedTotals({ text, delimiter, groupColumn, valueColumn, readCents })
    expect(totals.size).toBeGreaterThan(18)
    expect(mailedTotals(run)).toEqual(totals)
  },
)

type Parsed = Pick<
  ReturnType<typeof messyTable>,
  'text' | 'delimiter' | 'groupColumn' | 'valueColumn' | 'readCents'
>

function parsedTotals({ text, delimiter, groupColumn, valueColumn, readCents }: Parsed): Map<string, number> {
  const rows: Record<string, string>[] = parse(text, {
    columns: true,
    bom: true,
    delimiter,
    relax_quotes: true,
    relax_column_count: true,
    skip_empty_lines: true,
  })
  const totals = new Map<string, number>()
  for (const row of rows) {
    const key = (row[groupColumn] ?? '').trim().replace(/\s+/g, ' ').toLowerCase()
    const cents = readCents(row[valueColumn] ?? '')
    if (cents !== null) totals.set(key, (totals.get(key) ?? 0) + cents)
  }
  return totals
}

/** The table in the body of the mail, back in cents. */
function mailedTotals({ calls }: AgentRun): Map<string, number> {
  const body = String(calls.find(({ name }) => name === 'send_email')?.args['body'])
  const [, , table = ''] = body.split(/^-+  -+$/m).length === 3 ? ['', '', body.split(/^-+  -+$/m)[1]] : []
  const lines = table.split('\n').filter((line) => line !== '')
  return new Map(
    lines.map((line) => {
      const [, name = '', total = ''] = /^(.*?)\s+(-?[\d.]+)$/.exec(line) ?? []
      return [name.toLowerCase(), Math.round(Number(total) * 100)]
    }),
  )
}
