import { z } from 'zod'
import { defineTool } from './define.ts'
import { SQL_ACCESS } from './sql/access.ts'
import { READ, readFrom, readingOf, readSelect } from './sql/read-from.ts'
import { checkNames } from './sql/resolve-names.ts'

const MAX_PLAN = 8_000

export const sqlText = z
  .string()
  .min(1)
  .max(10_000)
  .refine((text) => !text.includes('\0'), 'must not contain NUL')

export const sqlQuery = defineTool({
  name: 'sql_query',
  description:
    'Runs one SELECT on a PostgreSQL database, in a transaction that can only read, and returns columns and rows. It ' +
    'reads the allowed tables alone, calls no functions that reach further, takes 5 seconds at most and returns at ' +
    'most max_rows rows; where "more" is not null there may be others: ask for them with ORDER BY, LIMIT and OFFSET. ' +
    'Exact numbers, dates and JSON come as text. It changes nothing: see sql_execute.',
  schema: z.object({
    query: sqlText.describe('One SELECT, such as "select id, total from orders order by id limit 20".'),
    max_rows: z.int().min(1).max(500).default(100),
  }),
  risk: 'low',
  effect: 'none',
  timeoutMs: 15_000,
  outputLimit: 64_000,
  isSetUp: (services) => services.find(SQL_ACCESS)?.reading !== undefined,

  run: ({ query, max_rows }, call) =>
    readFrom(call.service(SQL_ACCESS).reading, query, max_rows, call.signal),

  /** The plan, without its estimates, which change with every row. */
  async preview({ query }, call) {
    const database = readingOf(call.service(SQL_ACCESS).reading)
    const statement = await readSelect(query)
    const plan = await database.transaction(READ, call.signal, async (sql) => {
      await checkNames(statement, database, sql)
      const { rows } = await sql.query<{ 'QUERY PLAN': string }>(`explain (costs off)\n${statement.text}`)
      return rows.map((row) => row['QUERY PLAN']).join('\n')
    })
    return { kind: 'text', text: plan.slice(0, MAX_PLAN) }
  },
})
