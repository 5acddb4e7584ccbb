import type { Sheet } from './csv.ts'
import { LOAD, READ_NUMBERS, READ_ROWS } from './guest.ts'

export type Operation = 'sum' | 'average' | 'min' | 'max' | 'count' | 'distinct' | 'list'

/** A question about one file, in its columns. */
export interface Analysis {
  file: string
  sheet: Sheet
  operation: Operation
  /** Column numbers. None: one answer for the whole file. */
  groups: number[]
  /** Missing where rows are counted. */
  value?: number
  /** A second column that the first is multiplied by: a quantity with its unit price. */
  times?: number
  /** Whether whole amounts are shown with two decimals too. */
  money: boolean
  keep?: Condition
  top?: { count: number; lowest: boolean }
}

export interface Condition {
  column: number
  comparison: '=' | '!=' | '<' | '>' | '<=' | '>='
  operand: string
}

/**
 * The program that answers the question. Its value: `{ rows, groups: [[name, answer], …], hidden, all, notes }`
 * with numbers as decimal text, largest first; `hidden` counts the groups that would have made it too long.
 */
export function writeCode(analysis: Analysis): string {
  const numeric = NUMERIC.has(analysis.operation) || analysis.keep !== undefined
  return [
    constants(analysis),
    READ_ROWS,
    numeric ? READ_NUMBERS : '',
    LOAD,
    analysis.keep ? condition(analysis.keep) : 'const kept = rows\n',
    collect(analysis),
    report(analysis),
  ].join('')
}

const NUMERIC: ReadonlySet<Operation> = new Set(['sum', 'average', 'min', 'max'])

function constants({ file, sheet, groups, value, times }: Analysis): string {
  const name = (column: number) => JSON.stringify(sheet.header[column])
  const columns = sheet.header.map((one) => JSON.stringify(one)).join(', ')
  const lines = [
    `// Columns: ${columns}`,
    `const FILE = ${JSON.stringify(file)}`,
    `const DELIMITER = ${JSON.stringify(sheet.delimiter)}`,
    `const HEADER_ROW = ${sheet.headerRow}`,
    `const WIDTH = ${sheet.header.length}`,
    `const GROUPS = ${JSON.stringify(groups)}${groups.length > 0 ? ` // ${groups.map(name).join(', ')}` : ''}`,
    ...(value === undefined ? [] : [`const VALUE = ${value} // ${name(value)}`]),
    ...(times === undefined ? [] : [`const TIMES = ${times} // ${name(times)}`]),
  ]
  return `${lines.join('\n')}\n`
}

function condition({ column, comparison, operand }: Condition): string {
  const text = JSON.stringify(operand)
  const sign = comparison === '=' ? '===' : comparison === '!=' ? '!==' : comparison
  return `
const operand = ${text}
const operandUnits = units(operand, { comma: false, point: true })
const keepStyle = numberStyle(rows.map((row) => row[${column}]))
const kept = rows.filter((row) => {
  const cell = tidy(row[${column}])
  const number = operandUnits === null ? null : units(cell, keepStyle)
  if (number !== null) return number ${sign} operandUnits
  return cell.toLowerCase() ${sign} tidy(operand).toLowerCase()
})
currencies.clear()
places = 0
`
}

function collect({ operation, value, times, sheet }: Analysis): string {
  const column = value === undefined ? '' : JSON.stringify(sheet.header[value])
  const number = NUMERIC.has(operation)
  const measure = !number
    ? `tidy(row[${value === undefined ? '0' : 'VALUE'}])`
    : times === undefined
      ? 'units(row[VALUE], style)'
      : 'product(units(row[VALUE], style), units(row[TIMES], timesStyle))'
  const missing = value === undefined ? 'false' : number ? 'value === null' : `value === ''`
  return `${
    number ? '\nconst style = numberStyle(rows.map((row) => row[VALUE]))\n' : ''
  }${
    times === undefined
      ? ''
      : `const timesStyle = numberStyle(rows.map((row) => row[TIMES]))
const product = (a, b) => (a === null || b === null ? null : (a * b) / 10n ** 9n)
`
  }
// Names are the same whatever their case and spaces; the spelling shown is the most frequent one.
const groups = new Map()
const all = { rows: 0, values: [], spellings: new Map() }
const skipped = []
for (const row of kept) {
  const value = ${measure}
  if (${missing}) {
    skipped.push(row)
    continue
  }
  const name = GROUPS.map((column) => tidy(row[column]) || '(blank)').join(' / ')
  const key = name.toLowerCase()
  if (!groups.has(key)) groups.set(key, { rows: 0, values: [], spellings: new Map() })
  for (const group of [groups.get(key), all]) {
    group.rows++
    group.values.push(value)
    group.spellings.set(name, (group.spellings.get(name) ?? 0) + 1)
  }
}
if (skipped.length > 0) notes.push(${JSON.stringify(`${number ? 'No number' : 'Nothing'} in ${column} in `)} + lines(skipped) + '; left out.')
${number ? CURRENCIES : ''}`
}

const CURRENCIES = `if (currencies.size > 1) {
  notes.push('More than one currency (' + [...currencies].join(', ') + '): added as they stand, not converted.')
}
`

const ANSWERS: Record<Operation, string> = {
  sum: 'fixed(sum(group.values), digits)',
  average: 'fixed(group.rows === 0 ? 0n : sum(group.values) / BigInt(group.rows), Math.max(2, digits))',
  min: 'group.rows === 0 ? null : fixed(group.values.reduce((a, b) => (b < a ? b : a)), digits)',
  max: 'group.rows === 0 ? null : fixed(group.values.reduce((a, b) => (b > a ? b : a)), digits)',
  count: 'String(group.rows)',
  distinct: 'String(different(group).length)',
  list: `different(group).join(', ')`,
}

function report({ operation, money, top }: Analysis): string {
  const number = NUMERIC.has(operation)
  const order = operation === 'list' ? 'byName' : `(a, b) => ${top?.lowest ? 'a[1] - b[1]' : 'b[1] - a[1]'} || byName(a, b)`
  const digits = `const digits = ${money ? '' : 'places === 0 && currencies.size === 0 ? 0 : '}Math.max(2, places)`
  return `
${number ? `${digits}\nconst sum = (values) => values.reduce((a, b) => a + b, 0n)` : DIFFERENT}
const answer = (group) => ${ANSWERS[operation]}
const spelling = (group) => [...group.spellings].reduce((a, b) => (b[1] > a[1] ? b : a))[0]
const byName = (a, b) => (a[0].toLowerCase() < b[0].toLowerCase() ? -1 : 1)
const table = GROUPS.length === 0 ? [] : [...groups.values()].map((group) => [spelling(group), answer(group)])
table.sort(${order})
const shown = []
let size = 0
for (const line of table${top ? `.slice(0, ${top.count})` : ''}) {
  size += line[0].length + line[1].length + 8
  if (size > 20000) break
  shown.push(line)
}
const result = {
  rows: all.rows,
  groups: shown,
  hidden: table.length - shown.length,
  all: answer(all)${operation === 'list' ? '.slice(0, 20000)' : ''},
  notes,
}
result
`
}

const DIFFERENT = `const different = (group) => {
  const seen = new Map()
  for (const value of group.values) if (!seen.has(value.toLowerCase())) seen.set(value.toLowerCase(), value)
  return [...seen.values()].sort()
}`
