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
    analysis.keep ? condition(analysis.keep) : '',
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
  const sign = comparison === '=' ? '===' : comparison === '!=' ? '!==' : comparison
  return `
const operand = ${JSON.stringify(operand)}
const operandUnits = units(operand, { comma: false, point: true })
const keepStyle = numberStyle(${column})
function keep(row) {
  const cell = tidy(row[${column}])
  const number = operandUnits === null ? null : units(cell, keepStyle, false)
  return number === null ? cell.toLowerCase() ${sign} tidy(operand).toLowerCase() : number ${sign} operandUnits
}
currencies.clear()
places = 0
`
}

function collect(analysis: Analysis): string {
  const { operation, value, times, sheet, keep } = analysis
  const number = NUMERIC.has(operation)
  const column = value === undefined ? '' : JSON.stringify(sheet.header[value])
  const oneGroup = analysis.groups.length === 1
  const missing = value === undefined ? 'false' : number ? 'value === null' : `value === ''`
  return `${number ? styles(times) : ''}
// Names are the same whatever their case and spaces; the spelling shown is the most frequent one.
const empty = () => ({ rows: 0, spellings: new Map()${number ? ', sum: 0n, low: null, high: null' : ', seen: new Map()'} })
const groups = new Map()
const known = new Map()
const all = empty()
const skipped = lineList()
const wide = lineList()
eachRow((row, line) => {${keep ? '\n  if (!keep(row)) return' : ''}
  if (row.length > WIDTH && row.slice(WIDTH).some((cell) => cell.trim() !== '')) wide.add(line)
  const value = ${measure(analysis)}
  if (${missing}) return skipped.add(line)
  const cells = ${oneGroup ? 'row[GROUPS[0]]' : `GROUPS.map((column) => row[column]).join('\\n')`}
  const [group, name] = known.get(cells) ?? meet(row, cells)
  add(group, value)
  add(all, value)
  group.spellings.set(name, (group.spellings.get(name) ?? 0) + 1)
})

function meet(row, cells) {
  const name = GROUPS.map((column) => tidy(row[column]) || '(blank)').join(' / ')
  const key = name.toLowerCase()
  if (!groups.has(key)) groups.set(key, empty())
  const met = [groups.get(key), name]
  known.set(cells, met)
  return met
}

function add(group, value) {
  group.rows++${number ? ADD_NUMBER : operation === 'count' ? '' : ADD_WORD}
}

skipped.note(${JSON.stringify(`${number ? 'No number' : 'Nothing'} in ${column}`)}, '; left out.')
wide.note('More fields than the header', '; read by position.')
${number ? CURRENCIES : ''}`
}

function styles(times: number | undefined): string {
  const product = `const timesStyle = numberStyle(TIMES)
const product = (a, b) => (a === null || b === null ? null : (a * b) / 10n ** 9n)
`
  return `\nconst style = numberStyle(VALUE)\n${times === undefined ? '' : product}`
}

function measure({ operation, value, times }: Analysis): string {
  if (!NUMERIC.has(operation)) return `tidy(row[${value === undefined ? '0' : 'VALUE'}])`
  const one = 'units(row[VALUE], style)'
  return times === undefined ? one : `product(${one}, units(row[TIMES], timesStyle, false))`
}

const ADD_NUMBER = `
  group.sum += value
  if (group.low === null || value < group.low) group.low = value
  if (group.high === null || value > group.high) group.high = value`

const ADD_WORD = `
  const key = value.toLowerCase()
  if (!group.seen.has(key)) group.seen.set(key, value)`

const CURRENCIES = `if (currencies.size > 1) {
  notes.push('More than one currency (' + [...currencies].join(', ') + '): added as they stand, not converted.')
}
`

const ANSWERS: Record<Operation, string> = {
  sum: 'fixed(group.sum, digits)',
  average: 'group.rows === 0 ? null : fixed(group.sum / BigInt(group.rows), Math.max(2, digits))',
  min: 'group.low === null ? null : fixed(group.low, digits)',
  max: 'group.high === null ? null : fixed(group.high, digits)',
  count: 'String(group.rows)',
  distinct: 'String(group.seen.size)',
  list: `[...group.seen.values()].sort().join(', ').slice(0, 5000)`,
}

function report({ operation, money, top }: Analysis): string {
  const number = NUMERIC.has(operation)
  const order =
    operation === 'list'
      ? 'byName'
      : `(a, b) => ${top?.lowest ? 'a[1] - b[1]' : 'b[1] - a[1]'} || byName(a, b)`
  const digits = `const digits = ${money ? '' : 'places === 0 && currencies.size === 0 ? 0 : '}Math.max(2, places)\n`
  return `
${number ? digits : ''}const answer = (group) => ${ANSWERS[operation]}
const spelling = (group) => [...group.spellings].reduce((a, b) => (b[1] > a[1] ? b : a))[0]
const byName = (a, b) => (a[0].toLowerCase() < b[0].toLowerCase() ? -1 : 1)
const table = GROUPS.length === 0 ? [] : [...groups.values()].map((group) => [spelling(group), answer(group)])
table.sort(${order})
const shown = []
let size = 0
for (const line of table${top ? `.slice(0, ${top.count})` : ''}) {
  size += line[0].length + line[1].length + 8
  if (size > 20000 || shown.length === 300) break
  shown.push(line)
}
const result = { rows: all.rows, groups: shown, hidden: table.length - shown.length, all: answer(all), notes }
result
`
}
