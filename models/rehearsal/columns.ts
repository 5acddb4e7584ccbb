import type { Analysis, Condition } from './code.ts'
import { describeColumn, isMeasure, likelihood, type Column } from './column.ts'
import type { Sheet } from './csv.ts'
import type { Question } from './question.ts'
import { likeness, meaningOf, wordsOf } from './words.ts'

/** The columns that a question means, or why there are none. */
export type Choice =
  | {
      kind: 'chosen'
      columns: Pick<Analysis, 'operation' | 'groups' | 'value' | 'times' | 'money' | 'keep'>
      /** How well the words fit the names; for the choice between files. */
      fit: number
      /** What a reader should know about the choice. */
      remarks: string[]
    }
  | { kind: 'none'; reason: string }

export function chooseColumns(question: Question, sheet: Sheet): Choice {
  const columns = sheet.header.map((name, at) =>
    describeColumn(
      at,
      name,
      sheet.samples.map((row) => row[at] ?? ''),
    ),
  )
  const remarks: string[] = []
  const { groups: phrases, value: phrase } = groupedByValue(spelledOut(question, columns), columns)

  const keep = question.where && chooseCondition(question.where, columns)
  if (keep === null) return { kind: 'none', reason: `no column fits "${question.where?.column}"` }

  const value = chooseValue(question.operation, phrase, columns)
  if (value.reason !== undefined) return { kind: 'none', reason: value.reason }

  const groups: number[] = []
  let fit = value.fit
  for (const words of phrases) {
    const found = chooseGroup(words, columns, [...groups, value.at ?? -1])
    if (found === null) return { kind: 'none', reason: `no column fits "${words}"` }
    if (found.fit === 0)
      remarks.push(`No column is called "${words}"; "${columns[found.at]?.name}" was taken for it.`)
    fit += found.fit
    groups.push(found.at)
  }
  if (value.remark !== undefined) remarks.push(value.remark)
  const counted = columns[value.at ?? -1]
  const things = question.countsThings && counted !== undefined && !counted.numeric && !counted.identifier
  const operation =
    counted === undefined && question.operation === 'distinct'
      ? 'count'
      : things
        ? 'distinct'
        : question.operation
  const times = question.operation === 'sum' && !value.named ? chooseQuantity(value.at, columns) : undefined
  return {
    kind: 'chosen',
    columns: {
      operation,
      groups,
      value: value.at,
      times,
      money: columns[value.at ?? -1]?.money ?? false,
      keep,
    },
    fit,
    remarks,
  }
}

/** Names of columns with words in them that end a phrase elsewhere: "List Price", "Sum of Squares", "Bill To". */
function spelledOut(question: Question, columns: readonly Column[]): Question {
  const plain = (text: string) =>
    ` ${text
      .toLowerCase()
      .replace(/^\s*(?:(?:of|the|all|our|my|each|every)\s+)*/, '')
      .replace(/[^\p{L}\p{N}]+/gu, ' ')
      .trim()} `
  const begins = (tail: string) =>
    columns
      .map(({ name }) => name)
      .filter((name) => plain(name).trim() !== '' && plain(tail).startsWith(plain(name)))
      .toSorted((a, b) => b.length - a.length)[0]
  const value = begins(question.tails.value)
  const group = begins(question.tails.group)
  return {
    ...question,
    value: value !== undefined && value.length > question.value.length ? value : question.value,
    groups:
      group === undefined
        ? question.groups
        : [group, ...question.groups.slice(1).filter((one) => !plain(group).includes(plain(one)))],
  }
}

/** "Customer totals": the word before the total names the group, unless it names a column of numbers. */
function groupedByValue(question: Question, columns: readonly Column[]): { groups: string[]; value: string } {
  const { groups, value, operation } = question
  if (groups.length > 0 || value === '' || !NUMERIC.has(operation)) return { groups, value }
  const fits = (numeric: boolean) =>
    Math.max(
      0,
      ...columns
        .filter((one) => isMeasure(one) === numeric)
        .map((one) => likeness(wordsOf(value), one.words)),
    )
  return fits(false) > Math.max(fits(true), FITS) && !isRowNoun(value)
    ? { groups: [value], value: '' }
    : { groups, value }
}

const NUMERIC: ReadonlySet<string> = new Set(['sum', 'average', 'min', 'max'])
/** From here on a phrase and a name speak of the same. */
export const FITS = 0.5

interface ValueChoice {
  at?: number
  fit: number
  /** Whether the task named it. */
  named?: boolean
  remark?: string
  reason?: string
}

function chooseValue(
  operation: Question['operation'],
  phrase: string,
  columns: readonly Column[],
): ValueChoice {
  const words = wordsOf(phrase)
  if (!NUMERIC.has(operation)) return chooseCounted(operation, phrase, columns)
  const exact = columns.find((one) => likeness(words, one.words) === 2 && (isMeasure(one) || one.numeric))
  if (exact) return { at: exact.at, fit: 2, named: true }
  const measures = columns.filter(isMeasure)
  // "Total the orders" speaks of rows: the word helps to choose between columns of numbers, and no more.
  const weight = isRowNoun(phrase) ? 2 : 10
  const ranked = measures
    .map((one) => ({ one, fit: likeness(words, one.words), likely: likelihood(one) }))
    .toSorted((a, b) => b.fit * weight + b.likely - (a.fit * weight + a.likely) || a.one.at - b.one.at)
  const [best] = ranked
  if (!best) return { fit: 0, reason: 'no column holds numbers that could be added' }
  const named = best.fit >= FITS
  const missed =
    words.length > 0 && !named && !isRowNoun(phrase) && words.some((word) => meaningOf(word) !== 'amount')
  return {
    at: best.one.at,
    fit: named ? best.fit : 0,
    named: named && !isRowNoun(phrase),
    remark: missed ? `No column is called "${phrase}"; "${best.one.name}" was taken for it.` : undefined,
  }
}

function chooseCounted(
  operation: Question['operation'],
  phrase: string,
  columns: readonly Column[],
): ValueChoice {
  const words = wordsOf(phrase)
  const [best] = columns
    .map((one) => ({ one, fit: likeness(words, one.words) + nameBonus(one, words) }))
    .toSorted((a, b) => b.fit - a.fit)
  const fits = best !== undefined && words.length > 0 && best.fit >= FITS
  // Orders, rows and entries are counted by their rows, not by a column that is called like them.
  if (operation === 'count' && (!fits || (isRowNoun(phrase) && best.fit < 2)))
    return { fit: fits ? best.fit : 0 }
  if (fits) return { at: best.one.at, fit: best.fit, named: true }
  return operation === 'distinct' ? { fit: 0 } : { fit: 0, reason: `no column fits "${phrase}"` }
}

function chooseGroup(
  phrase: string,
  columns: readonly Column[],
  taken: readonly number[],
): { at: number; fit: number } | null {
  const words = wordsOf(phrase)
  const free = columns.filter((one) => !taken.includes(one.at))
  const [best] = free
    .map((one) => ({ at: one.at, fit: likeness(words, one.words), bonus: nameBonus(one, words) }))
    .toSorted((a, b) => b.fit + b.bonus - (a.fit + a.bonus))
  if (best && best.fit >= FITS) return best
  if (words.some((word) => PERIODS.has(word))) return null
  // No name fits. People are called so many things that the one column of words that repeat may stand for them.
  const people = words.some((word) => meaningOf(word) === 'customer' || word === 'name')
  if (!people && !columns.every(({ name }) => /^column \d+$/.test(name))) return null
  const repeating = free.filter((one) => !one.numeric && !one.date && !one.identifier && one.variety < 0.9)
  const [only] = repeating
  return only && repeating.length === 1 ? { at: only.at, fit: 0 } : null
}

/** "Customer Name" is meant by "customer" rather than "Customer ID" or "Customer e-mail". */
function nameBonus(column: Column, words: readonly string[]): number {
  const named = (pattern: RegExp) =>
    pattern.test(column.words.join(' ')) && !words.some((word) => pattern.test(word))
  if (column.identifier && !words.some((word) => /^(?:id|no|number|code)$/.test(word))) return -0.15
  if (column.date || named(/mail|phone|address|since|city|country|type|group/)) return -0.15
  return /\bname\b/.test(column.words.join(' ')) ? 0.1 : 0
}

function chooseCondition(
  where: NonNullable<Question['where']>,
  columns: readonly Column[],
): Condition | null {
  const words = wordsOf(where.column)
  const [best] = columns
    .map((one) => ({ at: one.at, fit: likeness(words, one.words) }))
    .toSorted((a, b) => b.fit - a.fit)
  return best && best.fit >= FITS
    ? { column: best.at, comparison: where.comparison, operand: where.operand }
    : null
}

/** A quantity, where the chosen numbers are prices of one piece and no column has the amount. */
function chooseQuantity(value: number | undefined, columns: readonly Column[]): number | undefined {
  const chosen = columns.find((one) => one.at === value)
  if (!chosen || !/\b(?:unit|each|piece|per)\b|stuckpreis|einzelpreis/i.test(chosen.words.join(' ')))
    return undefined
  return columns.find(
    (one) => one.at !== value && one.numeric && one.words.some((word) => meaningOf(word) === 'quantity'),
  )?.at
}

/** Whether a word names the rows ("orders") rather than a column of them. */
export function isRowNoun(phrase: string): boolean {
  const words = wordsOf(phrase)
  return words.length > 0 && words.every((word) => ROW_NOUNS.has(word))
}

const PERIODS = new Set('month year week quarter day monat jahr woche quartal tag'.split(' '))
const ROW_NOUNS = new Set(
  'order sale invoice transaction payment refund row record entry line item booking purchase return receipt bill claim expense data'.split(
    ' ',
  ),
)
