import { looksLikeDate, looksNumeric } from './csv.ts'
import { meaningOf, wordsOf } from './words.ts'

/** What the name of a column and its first values tell. */
export interface Column {
  at: number
  name: string
  words: string[]
  numeric: boolean
  date: boolean
  /** A number that names something: order number, postcode, year. */
  identifier: boolean
  money: boolean
  currency: boolean
  /** Whole numbers that go up by one: the rows' own. */
  sequence: boolean
  decimals: boolean
  /** Different values per value: 1 where none repeats. */
  variety: number
}

export function describeColumn(at: number, name: string, cells: readonly string[]): Column {
  const filled = cells.filter((cell) => cell.trim() !== '')
  const share = (test: (cell: string) => boolean) =>
    filled.length > 0 && filled.filter(test).length >= filled.length * 0.6
  const words = wordsOf(name)
  const meanings = words.map(meaningOf)
  return {
    at,
    name,
    words,
    numeric: share(looksNumeric),
    date: share(looksLikeDate),
    identifier:
      /\b(?:id|no|nr|num|number(?! of)|code|ref|reference|sku|zip|plz|postcode|postal|phone|tel|telefon|year|uuid|key|index|iban|barcode|ean|\w*nummer|\w+nr|numero)\b|#/i.test(
        name.replace(/[_-]/g, ' ').replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2'),
      ),
    money:
      meanings.includes('amount') ||
      meanings.includes('price') ||
      filled.some((cell) => /\p{Sc}/u.test(cell)),
    currency: share((cell) => /\p{Sc}|\b[A-Z]{3}\b/u.test(cell)),
    sequence:
      filled.length > 2 &&
      filled.every((cell, at) => at === 0 || Number(cell) === Number(filled[at - 1]) + 1),
    decimals: share((cell) => /[.,]\d{1,2}\D*$/.test(cell)),
    variety:
      new Set(filled.map((cell) => cell.trim().toLowerCase().replace(/\s+/g, ' '))).size /
      Math.max(1, filled.length),
  }
}

/** How likely a column of numbers is the one that "the total" means. */
export function likelihood({ words, currency, identifier, sequence, decimals }: Column): number {
  const has = (pattern: RegExp) => words.some((word) => pattern.test(word))
  let score = (currency ? 2 : 0) + (decimals ? 0.5 : 0) - (sequence ? 5 : 0)
  if (words.some((word) => meaningOf(word) === 'amount')) score += 4
  if (has(/^(?:total|gesamt.*|grand)$/)) score += 1
  if (has(/^(?:.*betrag|umsatz|revenue|importe|montant|amount)$/)) score += 0.5
  if (words.some((word) => meaningOf(word) === 'price')) score += 3
  if (has(/^(?:unit|each|einzel.*|subtotal|net)$/)) score -= 0.5
  if (
    has(
      /^(?:tax|vat|mwst|discount|rabatt|shipping|fee|rate|percent|%|margin|rating|score|balance|age|weight|lat|lon|lng)$/,
    )
  )
    score -= 3
  if (words.some((word) => meaningOf(word) === 'quantity')) score -= 1
  return identifier ? score - 4 : score
}

/** Numbers that can be added: no dates, no order numbers. */
export function isMeasure(column: Column): boolean {
  return column.numeric && !column.date && !column.identifier
}
