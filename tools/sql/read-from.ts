import type { SqlDatabase } from './access.ts'
import { readRows, type Rows } from './read-rows.ts'
import { checkNames } from './resolve-names.ts'
import { readStatement, refused, type Statement } from './statement.ts'

const STATEMENT_MS = 5_000
export const READ = { mode: 'read only', ends: 'rollback', timeoutMs: STATEMENT_MS } as const

/** The first rows of one SELECT of allowed tables. Throws `ToolError`. */
export async function readFrom(
  database: SqlDatabase | undefined,
  text: string,
  maxRows: number,
  signal: AbortSignal,
): Promise<Rows> {
  const reading = readingOf(database)
  const statement = await readSelect(text)
  return await reading.transaction(READ, signal, async (sql) => {
    await checkNames(statement, reading, sql)
    return await readRows(sql, statement.text, maxRows)
  })
}

export function readingOf(database: SqlDatabase | undefined): SqlDatabase {
  if (database === undefined)
    throw refused('No database is set up for sql_query. The operator has to set HOLDPOINT_SQL_URL.')
  return database
}

export async function readSelect(text: string): Promise<Statement> {
  const statement = await readStatement(text)
  if (statement.kind !== 'select')
    throw refused(`sql_query only reads: a ${statement.kind} is for sql_execute.`)
  return statement
}
