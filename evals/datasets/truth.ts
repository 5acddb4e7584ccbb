import { parse } from 'csv-parse/sync'
import { addRow, fold, type Table } from '../table-text.ts'

/** The right answers, worked out by a parser that the agents do not have. Amounts are whole cents. */

export interface Question {
  delimiter: string
  /** Column names. */
  by?: string
  value?: string
  /** Reads a cell of the value column; null: it holds no number. */
  read?: (cell: string) => bigint | null
}

export interface Group {
  rows: bigint
  sum: bigint
  low: bigint
  high: bigint
}

export interface Truth {
  groups: Map<string, Group>
  all: Group
}

/** Adds a file up. Without `value` its rows are counted. */
export function workOut(text: string, { delimiter, by, value, read = english }: Question): Truth {
  const records: Record<string, string>[] = parse(text, {
    bom: true,
    columns: (names: string[]) => names.map((name) => name.trim()),
    delimiter,
    skip_empty_lines: true,
    skip_records_with_empty_values: true,
    trim: true,
  })
  const groups = new Map<string, Group>()
  const all: Group = { rows: 0n, sum: 0n, low: 0n, high: 0n }
  for (const record of records) {
    const cents = value === undefined ? 1n : read(cell(record, value))
    if (cents === null) continue
    add(all, cents)
    if (by === undefined) continue
    const name = fold(cell(record, by))
    const group = groups.get(name) ?? { rows: 0n, sum: 0n, low: 0n, high: 0n }
    groups.set(name, group)
    add(group, cents)
  }
  if (all.rows === 0n) throw new Error(`No row of the file has a number in "${value}".`)
  return { groups, all }
}

function cell(record: Record<string, string>, column: string): string {
  const found = record[column]
  if (found === undefined)
    throw new Error(`The file has no column "${column}". It has: ${Object.keys(record).join(', ')}.`)
  return found
}

function add(group: Group, cents: bigint): void {
  if (group.rows === 0n || cents < group.low) group.low = cents
  if (group.rows === 0n || cents > group.high) group.high = cents
  group.rows++
  group.sum += cents
}

/** `$1,234.50`, `1,234.50 USD`, `-$3.00` */
export function english(text: string): bigint | null {
  return centsOf(text.replace(/[$,\s]|USD/g, ''))
}

/** `1.234,50 €`, `1.234,50 EUR` */
export function german(text: string): bigint | null {
  return centsOf(text.replace(/[€.\s]|EUR/g, '').replace(',', '.'))
}

/** Whole numbers, which have no cents. */
export function whole(text: string): bigint | null {
  return /^-?\d+$/.test(text) ? BigInt(text) * 100n : null
}

function centsOf(plain: string): bigint | null {
  const found = /^(-?)(\d+)(?:\.(\d{1,2}))?$/.exec(plain)
  if (!found) return null
  const [, sign, units = '', cents = ''] = found
  const size = BigInt(units) * 100n + BigInt(cents.padEnd(2, '0'))
  return sign === '-' ? -size : size
}

export function money(cents: bigint): string {
  const size = cents < 0n ? -cents : cents
  return `${cents < 0n ? '-' : ''}${size / 100n}.${String(size % 100n).padStart(2, '0')}`
}

/** Halves are rounded away from zero. */
export function average({ sum, rows }: Group): string {
  const size = sum < 0n ? -sum : sum
  const rounded = (size * 2n + rows) / (rows * 2n)
  return money(sum < 0n ? -rounded : rounded)
}

export const total = ({ sum }: Pick<Group, 'sum'>) => money(sum)
export const count = ({ rows }: Group) => String(rows)
/** Of whole numbers, as they are written. */
export const units = (cents: bigint) => String(cents / 100n)

/** One row for each group, and one for all of them under the name that a reader expects there. */
export function tableOf({ groups, all }: Truth, show: (group: Group) => string, allName = 'Total'): Table {
  const rows = new Map([...groups].map(([name, group]) => [name, show(group)]))
  rows.set(fold(allName), show(all))
  return rows
}

/** Tables below each other in one text: a name that is in both comes twice. */
export function below(...tables: Table[]): Table {
  const rows = new Map<string, string>()
  for (const table of tables) for (const [name, amount] of table) addRow(rows, name, amount)
  return rows
}
