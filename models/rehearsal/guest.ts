/**
 * The standing parts of the programs that code.ts writes. They run in the sandbox, so they are text: plain
 * ES2023 without modules, with the constants of the program (`DELIMITER`, …) above them.
 */

export const READ_ROWS = String.raw`
// Fields in quotes may hold the delimiter, line ends and doubled quotes. Each row knows the line it starts on.
function parse(text, delimiter) {
  const rows = []
  let row = []
  let line = 1
  let first = 1
  let mark = -1
  let end = -1
  for (let at = 0; at < text.length; at++) {
    let start = at
    while (text[start] === ' ') start++
    let cell = ''
    if (text[start] === '"' && text.includes('"', start + 1)) {
      for (at = start + 1; at < text.length; at++) {
        const quote = text.indexOf('"', at)
        const stop = quote === -1 ? text.length : quote
        cell += text.slice(at, stop)
        at = stop + 1
        if (text[at] !== '"') break
        cell += '"'
      }
      line += cell.split('\n').length - 1
    }
    if (mark < at) mark = text.indexOf(delimiter, at)
    if (mark === -1) mark = text.length
    if (end < at) end = text.indexOf('\n', at)
    if (end === -1) end = text.length
    const stop = Math.min(mark, end)
    row.push(cell + text.slice(at, stop))
    at = stop
    if (mark < end) continue
    rows.push(Object.assign(row, { line: first }))
    row = []
    first = ++line
  }
  if (row.length > 0) rows.push(Object.assign(row, { line: first }))
  return rows
}

function tidy(cell = '') {
  return cell.normalize('NFC').replace(/[\s\u200b]+/g, ' ').trim()
}

function isBlank(row) {
  return row.every((cell) => cell.trim() === '') || (row.length === 1 && row[0].startsWith('#'))
}
`

export const READ_NUMBERS = String.raw`
// Sign, digits and currency of a cell: '$1,234.50', '1.234,50 EUR', '(75.00)', '12-'. Null: it is no number.
function dissect(cell = '') {
  const text = cell.replace(/[\s\u200b'’_]/g, '')
  const found = /^([^\d.,]*\.?)([.,]?\d[\d.,]*)(\D*)$/.exec(text)
  if (!found) return null
  const [, before, digits, after] = found
  const signs = before + after.replace(/^[-–]+$/, (dash) => (/[.,]$/.test(digits) ? '' : dash))
  const words = [before, after].map((part) => part.replace(/[-+−–()%*.\p{Sc}]/gu, ''))
  if (!words.every((word) => word === '' || /^[A-Z]{3}$/.test(word) || UNITS.has(word.toLowerCase()))) return null
  // '$.50' starts with its decimal point, 'Rs.500' does not.
  const point = /(^|[^\p{L}])\.$/u.test(before) ? '.' : ''
  return {
    negative: /[-−]/.test(signs) || (before.includes('(') && after.includes(')')),
    digits: point + digits.replace(/[.,]$/, ''),
    currency: (before + after).match(/\p{Sc}|[A-Z]{3}/u)?.[0],
  }
}

const UNITS = new Set('us ca au c a nz hk s r rs rm kr kc kč zł zl ft lei fr chf eur usd gbp kg g km ea pcs'.split(' '))

// Which sign is the decimal mark: ',' or '.', '' for none, '?' where only the other cells can tell (1,234).
function decimalMark(digits) {
  const commas = digits.split(',').length - 1
  const points = digits.split('.').length - 1
  if (commas + points === 0) return ''
  if (commas > 0 && points > 0) return digits.lastIndexOf(',') > digits.lastIndexOf('.') ? ',' : '.'
  if (commas + points > 1) return commas > 0 ? '.' : ','
  return /^[1-9]\d{0,2}[.,]\d{3}$/.test(digits) ? '?' : commas > 0 ? ',' : '.'
}

// How the numbers of a column are written, from all of it.
function numberStyle(cells) {
  let commas = 0
  let points = 0
  for (const cell of cells) {
    const mark = decimalMark(dissect(cell)?.digits ?? '')
    if (mark === ',') commas++
    if (mark === '.') points++
  }
  const comma = commas > points
  return { comma, point: !comma && (points > 0 || DELIMITER !== ';') }
}

// A number in billionths, exact; null if the cell holds none.
function units(cell, style) {
  const parts = dissect(cell)
  if (!parts) return null
  const { digits } = parts
  let mark = decimalMark(digits)
  if (mark === '?') mark = digits.includes(',') ? (style.comma ? ',' : '') : style.point ? '.' : ''
  const cut = mark !== '' && digits.includes(mark) ? digits.lastIndexOf(mark) : digits.length
  const whole = digits.slice(0, cut)
  const fraction = digits.slice(cut + 1)
  if (!/^(\d*|\d{1,3}(,\d{2,3})*,\d{3}|\d{1,3}(\.\d{3})+)$/.test(whole) || !/^\d*$/.test(fraction)) return null
  const size = BigInt(whole.replace(/[.,]/g, '') + fraction.padEnd(9, '0').slice(0, 9))
  places = Math.max(places, Math.min(fraction.length, 6))
  if (parts.currency) currencies.add(parts.currency)
  return parts.negative ? -size : size
}

let places = 0
const currencies = new Set()

function fixed(number, digits) {
  const step = 10n ** BigInt(9 - digits)
  const size = ((number < 0n ? -number : number) + step / 2n) / step
  const text = String(size).padStart(digits + 1, '0')
  const shown = digits === 0 ? text : text.slice(0, -digits) + '.' + text.slice(-digits)
  return number < 0n && size > 0n ? '-' + shown : shown
}
`

export const LOAD = String.raw`
const notes = []
const text = (await readFile(FILE)).replace(/^\ufeff/, '').replace(/\r\n?/g, '\n').replace(/^sep=.\n/i, '\n')
const rows = parse(text, DELIMITER).filter((row) => !isBlank(row)).slice(HEADER_ROW + 1)
const last = rows.at(-1)?.find((cell) => cell.trim() !== '') ?? ''
if (/^\s*((grand|sub)[ -]?)?(totals?|sum|summe|gesamt)\s*:?\s*$/i.test(last)) {
  notes.push('The last line (' + rows.pop().line + ') is a total of the file itself and was left out.')
}
const wide = rows.filter((row) => row.slice(WIDTH).some((cell) => cell.trim() !== ''))
if (wide.length > 0) notes.push('More fields than the header in ' + lines(wide) + '; read by position.')

function lines(some) {
  const which = some.slice(0, 8).map((row) => row.line).join(', ')
  const more = some.length > 8 ? ' and ' + (some.length - 8) + ' more' : ''
  return (some.length === 1 ? 'line ' : 'lines ') + which + more
}
`
