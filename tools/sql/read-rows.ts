import { cleanText } from '../clean-text.ts'
import { ToolError } from '../define.ts'
import type { SqlClient } from './access.ts'

/** Characters of one value; the server cuts it, so that no more comes here. */
const MAX_CELL = 2_000
const MAX_COLUMNS = 200
/** Characters that are fetched at a time, and those that a result has. */
const MAX_PIECE = 400_000
const MAX_RESULT = 48_000

type Cell = string | number | boolean | null

export interface Rows {
  columns: string[]
  rows: Cell[][]
  /** Why there may be more; null: this is all. */
  more: 'rows' | 'size' | null
  /** Values of which only the first 2,000 characters are here. */
  cut_values: number
}

/** Oids of PostgreSQL's types that JSON has. Other numbers stay text, which rounds nothing. */
const BOOLEAN = 16
const INTEGERS = new Set([20, 21, 23])
const FLOATS = new Set([700, 701])

/**
 * Reads a query's first rows through a cursor. The text has been checked to be one query; as a subquery its columns get
 * names of ours, and their values are cut where they are.
 */
export async function readRows(sql: SqlClient, query: string, maxRows: number): Promise<Rows> {
  const { fields } = await sql.query(`select * from (\n${query}\n) q limit 0`)
  if (fields.length === 0) throw new ToolError('INVALID_ARGS', 'The query has no columns.')
  if (fields.length > MAX_COLUMNS)
    throw new ToolError(
      'INVALID_ARGS',
      `The query has more than ${MAX_COLUMNS} columns. Name those you need.`,
    )
  const names = fields.map((_, index) => `c${index}`)
  const cells = names.map((name) => `left(${name}::text, ${MAX_CELL + 1}) as ${name}`)
  await sql.query(
    `declare rows no scroll cursor for select ${cells.join(', ')} from (\n${query}\n) q(${names.join(', ')})`,
  )
  const found: Rows = {
    columns: fields.map(({ name }) => cleanText(name)),
    rows: [],
    more: null,
    cut_values: 0,
  }
  const piece = Math.max(1, Math.floor(MAX_PIECE / (fields.length * MAX_CELL)))
  let size = 0
  for (;;) {
    const left = maxRows + 1 - found.rows.length
    const { rows } = await sql.query<Record<string, string | null>>(
      `fetch ${Math.min(piece, left)} from rows`,
    )
    for (const row of rows) {
      if (found.rows.length === maxRows) return { ...found, more: 'rows' }
      const values = names.map((name, index) => cellOf(row[name] ?? null, fields[index]?.dataTypeID ?? 0))
      size += JSON.stringify(values).length
      if (size > MAX_RESULT) return { ...found, more: 'size' }
      found.cut_values += names.filter((name) => (row[name]?.length ?? 0) > MAX_CELL).length
      found.rows.push(values)
    }
    if (rows.length < Math.min(piece, left)) return found
  }
}

function cellOf(text: string | null, type: number): Cell {
  if (text === null) return null
  if (type === BOOLEAN) return text === 'true'
  const number = Number(text)
  if (INTEGERS.has(type) && Number.isSafeInteger(number)) return number
  if (FLOATS.has(type) && Number.isFinite(number)) return number
  return cleanText(text.length > MAX_CELL ? `${text.slice(0, MAX_CELL)}…` : text)
}
