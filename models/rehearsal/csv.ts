/** What the head of a delimited file tells about all of it. */
export interface Sheet {
  delimiter: string
  /** Which of the rows that are not blank is the header; -1 where the file has none. */
  headerRow: number
  /** Column names; `column 1`, … where the file has none. */
  header: string[]
  /** The rows below the header that the head shows whole. */
  samples: string[][]
}

/** Finds delimiter and header in the beginning of a file. Null: it does not look like rows and columns. */
export function readSheet(head: string, whole: boolean): Sheet | null {
  const text = head.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n')
  const announced = /^sep=(.)\n/i.exec(text)?.[1]
  const body = text.replace(/^sep=.\n/i, '')
  const guesses = (announced === undefined ? DELIMITERS : [announced]).map((delimiter) =>
    guess(body, delimiter, whole),
  )
  const [best] = guesses.filter((one) => one !== null).toSorted((a, b) => b.score - a.score)
  return best?.sheet ?? null
}

export function looksNumeric(cell: string): boolean {
  const text = cell.trim()
  return (
    /\d/.test(text) &&
    !looksLikeDate(text) &&
    /^[-+−(]*\p{L}{0,3}\.? ?[-+−\p{Sc}( ]*[\d.,' \u00a0\u202f]+[ %\p{Sc}]*(?: ?\p{L}{1,3}\.?)?[-−)]*$/u.test(
      text,
    )
  )
}

export function looksLikeDate(cell: string): boolean {
  return /^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|^\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|^\d{1,2}:\d\d|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.*\d/i.test(
    cell.trim(),
  )
}

const DELIMITERS = [',', ';', '\t', '|']

function guess(text: string, delimiter: string, whole: boolean): { score: number; sheet: Sheet } | null {
  const parsed = parseRows(text, delimiter)
  const rows = (whole || parsed.length < 2 ? parsed : parsed.slice(0, -1)).filter((row) => !isBlank(row))
  const width = commonest(rows.map((row) => row.length).filter((length) => length > 1))
  if (width === null) return null
  const first = rows.findIndex((row) => row.length === width)
  const below = rows.slice(first)
  const regular = below.filter((row) => row.length === width).length / below.length
  const hasHeader = isHeader(below)
  const [top = []] = below
  const header = hasHeader
    ? top.map((cell) => cell.trim().replace(/\s+/g, ' '))
    : top.map((_, at) => `column ${at + 1}`)
  const sheet: Sheet = {
    delimiter,
    headerRow: hasHeader ? first : -1,
    header,
    samples: below.slice(hasHeader ? 1 : 0).filter((row) => row.length === width),
  }
  // Rows above the header count against a guess: with the right delimiter there are few.
  return { score: regular * (below.length / rows.length) + width / 1000, sheet }
}

/** A first row of names: no number in it, or above numbers at least one word. */
function isHeader(rows: readonly string[][]): boolean {
  const [top = [], ...rest] = rows
  if (!top.some((cell) => looksNumeric(cell) || looksLikeDate(cell))) return true
  return top.some((cell, at) => {
    const below = rest.map((row) => row[at] ?? '').filter((value) => value.trim() !== '')
    return (
      /\p{L}/u.test(cell) &&
      !looksNumeric(cell) &&
      below.length > 0 &&
      below.filter(looksNumeric).length > below.length / 2
    )
  })
}

function parseRows(text: string, delimiter: string): string[][] {
  const rows: string[][] = [[]]
  const field = new RegExp(` *"((?:[^"]|"")*)"([^${escape(delimiter)}\n]*)|[^${escape(delimiter)}\n]*`, 'y')
  for (let at = 0; at <= text.length; at++) {
    field.lastIndex = at
    const [all = '', quoted, after] = field.exec(text) ?? []
    rows.at(-1)?.push(quoted === undefined ? all : quoted.replaceAll('""', '"') + after)
    at += all.length
    if (text[at] === '\n') rows.push([])
  }
  return rows
}

function isBlank(row: readonly string[]): boolean {
  return row.every((cell) => cell.trim() === '') || (row.length === 1 && row[0]?.startsWith('#') === true)
}

function commonest(numbers: readonly number[]): number | null {
  const counts = Map.groupBy(numbers, (one) => one)
  const [top] = [...counts].toSorted(([, a], [, b]) => b.length - a.length)
  return top?.[0] ?? null
}

function escape(delimiter: string): string {
  return delimiter.replace(/[\\^$.*+?()[\]{}|/-]/, '\\$&')
}
