import { z } from 'zod'
import { defineTool } from './define.ts'
import { type SqlDatabase, SQL_ACCESS } from './sql/access.ts'
import { readRows } from './sql/read-rows.ts'
import { checkNames } from './sql/resolve-names.ts'
import { readStatement, refused } from './sql/statement.ts'

const STATEMENT_MS = 5_000
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

  async run({ query, max_rows }, call) {
    const database = readingOf(call.service(SQL_ACCESS).reading)
    const statement = await readStatement(query)
    if (statement.kind !== 'select')
      throw refused(`sql_query only reads: a ${statement.kind} is for sql_execute.`)
    return await database.transaction(READ, call.signal, async (sql) => {
      await checkNames(statement, database, sql)
      return await readRows(sql, statement.text, max_rows)
    })
  },

  /** The plan, without its estimates, which change with every row. */
  async preview({ query }, call) {
    const database = readingOf(call.service(SQL_ACCESS).reading)
    const statement = await readStatement(query)
    if (statement.kind !== 'select') throw refused('sql_query only reads.')
    const plan = await database.transaction(READ, call.signal, async (sql) => {
      await checkNames(statement, database, sql)
      const { rows } = await sql.query<{ 'QUERY PLAN': string }>(`explain (costs off)\n${statement.text}`)
      return rows.map((row) => row['QUERY PLAN']).join('\n')
    })
    return { kind: 'text', text: plan.slice(0, MAX_PLAN) }
  },
})

const READ = { mode: 'read only', ends: 'rollback', timeoutMs: STATEMENT_MS } as const

function readingOf(database: SqlDatabase | undefined): SqlDatabase {
  if (database === undefined)
    throw refused('No database is set up for sql_query. The operator has to set HOLDPOINT_SQL_URL.')
  return database
}
