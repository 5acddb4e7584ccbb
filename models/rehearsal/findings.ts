import type { Analysis } from './code.ts'
import { asText, isRecord } from './tool-result.ts'

/** What was found out, ready to be read, mailed or saved. */
export interface Findings {
  /** One line: the subject of a mail. */
  title: string
  /** One line: the title with the total. */
  summary: string
  /** Plain text, with the title as its first line. */
  text: string
  /** The table alone, for a file of that kind. */
  csv?: string
}

/** The words of an analysis: "Total of Amount by Customer in orders.csv". */
export function titleOf({ operation, sheet, groups, value, times, keep, top, file }: Analysis): string {
  const name = (column: number) => sheet.header[column] || `column ${column + 1}`
  const counted = operation === 'count' ? 'rows with ' : ''
  const subject =
    value === undefined
      ? 'rows'
      : times === undefined
        ? `${counted}${name(value)}`
        : `${name(times)} x ${name(value)}`
  const by = groups.length > 0 ? ` by ${groups.map(name).join(' and ')}` : ''
  const where = keep ? ` where ${name(keep.column)} ${keep.comparison} ${keep.operand}` : ''
  const best = top ? ` (${top.lowest ? 'bottom' : 'top'} ${top.count})` : ''
  return `${OPERATIONS[operation]} ${subject}${by} in ${file}${where}${best}`
}

const OPERATIONS = {
  sum: 'Total of',
  average: 'Average of',
  min: 'Smallest',
  max: 'Largest',
  count: 'Number of',
  distinct: 'Number of different',
  list: 'List of',
} satisfies Record<Analysis['operation'], string>

/** Reads the value of a program of code.ts. Null: it is not one. */
export function readAnswer(analysis: Analysis, value: unknown, remarks: readonly string[]): Findings | null {
  if (!isRecord(value) || !Array.isArray(value['groups']) || typeof value['rows'] !== 'number') return null
  const groups = value['groups'].flatMap((one) =>
    Array.isArray(one) ? [[asText(one[0]), asText(one[1] ?? '-')]] : [],
  )
  const all = asText(value['all'] ?? '-')
  const hidden = Number(value['hidden'] ?? 0)
  const notes = Array.isArray(value['notes']) ? value['notes'].map(asText) : []
  const title = titleOf(analysis)
  const extent = `${value['rows']} rows${groups.length > 0 ? `, ${groups.length + hidden} groups` : ''}.`
  const more =
    hidden > 0 && !analysis.top ? [`${hidden} more groups are in the total but not in this table.`] : []
  const body =
    analysis.groups.length > 0 ? table(analysis, groups, all) : [`${ALL[analysis.operation]}: ${all}`]
  const text = [
    title,
    extent,
    '',
    ...body,
    ...[...more, ...remarks, ...notes].flatMap((note) => ['', `Note: ${note}`]),
  ]
  const summary = `${title}: ${extent.replace('.', '')}, ${ALL[analysis.operation].toLowerCase()} ${all}.`
  const heading = [
    ...analysis.groups.map((column) => analysis.sheet.header[column] ?? ''),
    LABELS[analysis.operation],
  ]
  const csv = [[heading.slice(0, -1).join(' / '), heading.at(-1) ?? ''], ...groups].map((row) =>
    row.map(csvCell).join(','),
  )
  return { title, summary, text: text.join('\n'), csv: groups.length > 0 ? `${csv.join('\n')}\n` : undefined }
}

function csvCell(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const ALL = {
  sum: 'Total',
  average: 'Average of all rows',
  min: 'Smallest of all',
  max: 'Largest of all',
  count: 'Total',
  distinct: 'Different in all',
  list: 'All',
} satisfies Record<Analysis['operation'], string>

const MAX_NAME = 48

function table({ sheet, groups, operation }: Analysis, rows: readonly string[][], all: string): string[] {
  const heading = groups.map((column) => sheet.header[column] || `column ${column + 1}`).join(' / ')
  if (operation === 'list') return rows.map(([name = '', list = '']) => `${name}: ${list}`)
  const last = ALL[operation]
  const names = [heading, last, ...rows.map(([name = '']) => name)]
  const left = Math.min(MAX_NAME, Math.max(...names.map((name) => name.length)))
  const right = Math.max(
    ...[all, LABELS[operation], ...rows.map(([, answer = '']) => answer)].map((one) => one.length),
  )
  const line = (name: string, answer: string) => `${name.padEnd(left)}  ${answer.padStart(right)}`
  const rule = `${'-'.repeat(left)}  ${'-'.repeat(right)}`
  const body = rows.map(([name = '', answer = '']) => line(name, answer))
  return [line(heading, LABELS[operation]), rule, ...body, rule, line(last, all)]
}

const LABELS = {
  sum: 'Total',
  average: 'Average',
  min: 'Smallest',
  max: 'Largest',
  count: 'Rows',
  distinct: 'Different',
  list: '',
} satisfies Record<Analysis['operation'], string>
