import { z } from 'zod'
import { defineTool, ToolError } from './define.ts'
import { type SqlDatabase, SQL_ACCESS } from './sql/access.ts'
import { claimEffect, hasEffectsTable, noteRows, voidEffect } from './sql/effects-table.ts'
import { checkNames } from './sql/resolve-names.ts'
import { type Name, readStatement, refused, type Statement } from './sql/statement.ts'
import { tryStatement } from './sql/try-statement.ts'
import { sqlText } from './sql-query.ts'

const STATEMENT_MS = 10_000
/** Less than people wait for a preview. */
const TRY_MS = 3_000
const MAX_TEXT = 8_000

const schema = z.object({
  statement: sqlText.describe('One INSERT, UPDATE or DELETE, without RETURNING.'),
  expected_rows: z
    .int()
    .min(0)
    .optional()
    .describe('How many rows it is to change. Where it would be another number, nothing is changed.'),
})

export const sqlExecute = defineTool({
  name: 'sql_execute',
  description:
    'Runs one INSERT, UPDATE or DELETE on a PostgreSQL database in a transaction of its own, after people have ' +
    'approved it, and returns how many rows it changed. It changes the allowed tables alone, takes 10 seconds at most, ' +
    'returns no rows, and does not change tables themselves. Read with sql_query first.',
  schema,
  risk: 'high',
  effect: 'once',
  trusted: true,
  timeoutMs: 15_000,
  isSetUp: (services) => services.find(SQL_ACCESS)?.writing !== undefined,

  async run({ statement: text, expected_rows: expected }, call) {
    const { database, statement } = await readyToWrite(text, call.service(SQL_ACCESS).writing)
    return await database.transaction(WRITE, call.signal, async (sql) => {
      await checkNames(statement, database, sql)
      const claims = await hasEffectsTable(sql)
      const before = claims ? await claimEffect(sql, call) : undefined
      if (before !== undefined) return resultOf(before.doneBefore)
      const { rowCount } = await sql.query(statement.text)
      const rows = rowCount ?? 0
      if (expected !== undefined && rows !== expected)
        throw new ToolError(
          'INVALID_ARGS',
          `It would have changed ${rows} rows, not ${expected}. Nothing was changed.`,
        )
      if (claims) await noteRows(sql, call, rows)
      return resultOf(rows)
    })
  },

  async preview({ statement: text }, call) {
    const { database, statement, target } = await readyToWrite(text, call.service(SQL_ACCESS).writing)
    const words = await database.transaction(TRIAL, call.signal, async (sql) => {
      await checkNames(statement, database, sql)
      return await tryStatement(sql, statement, target)
    })
    return { kind: 'text', text: words.slice(0, MAX_TEXT) }
  },

  async probe(_args, call) {
    const database = call.service(SQL_ACCESS).writing
    if (database === undefined) return { state: 'unknown' }
    try {
      return await database.transaction(WRITE, call.signal, async (sql) => {
        if (!(await hasEffectsTable(sql))) return { state: 'unknown' }
        const happened = await voidEffect(sql, call)
        return happened === undefined
          ? { state: 'can_no_longer_happen' }
          : { state: 'happened', result: resultOf(happened.rows) }
      })
    } catch (error) {
      // Another execution holds the row, or the database is away: a person may know more.
      if (error instanceof ToolError) return { state: 'unknown' }
      throw error
    }
  },
})

const WRITE = { mode: 'read write', ends: 'commit', timeoutMs: STATEMENT_MS } as const
const TRIAL = { mode: 'read write', ends: 'rollback', timeoutMs: TRY_MS } as const

async function readyToWrite(
  text: string,
  database: SqlDatabase | undefined,
): Promise<{ database: SqlDatabase; statement: Statement; target: Name }> {
  if (database === undefined)
    throw refused('No database is set up for sql_execute. The operator has to set HOLDPOINT_SQL_WRITE_URL.')
  const statement = await readStatement(text)
  const { target } = statement
  if (target === undefined) throw refused('sql_execute only changes rows: a query is for sql_query.')
  return { database, statement, target }
}

function resultOf(rows: number | null) {
  return { rows_changed: rows }
}
