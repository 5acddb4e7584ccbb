/**
 * The standing parts of the programs that code.ts writes. They run in the sandbox, so they are text: plain
 * ES2023 without modules, with the constants of the program (`DELIMITER`, …) above them.
 */

export const READ_ROWS = String.raw`
// Hands over row by row, so that a large file needs little memory, until visit says false. Fields in quotes may
// hold the delimiter, line ends and doubled quotes.
function parse(text, delimiter, visit) {
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
    if (visit(row, first) === false) return
    row = []
    first = ++line
  }
  if (row.length > 0) visit(row, first)
}

function tidy(cell = '') {
  return cell.normalize('NFC').replace(/[\s\u200b]+/g, ' ').trim()
}

function isBlank(row) {
  if (row.length > 1 && row[0].charCodeAt(0) > 32) return false
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

// How the numbers of a column are written: the first thousands that tell decide for those that do not.
function numberStyle(column) {
  let commas = 0
  let points = 0
  eachRow((row) => {
    const mark = decimalMark(dissect(row[column])?.digits ?? '')
    if (mark === ',') commas++
    if (mark === '.') points++
    return commas + points < 5000
  })
  const comma = commas > points
  return { comma, point: !comma && (points > 0 || DELIMITER !== ';') }
}

// A number in billionths, exact; null if the cell holds none. What is shown takes after the cells that are told.
function units(cell, style, shown = true) {
  // Most cells of most files, in a tenth of the time.
  if (shown && cell && COMMON.test(cell)) {
    places = Math.max(places, 2)
    if (cell.includes('$')) currencies.add('USD')
    return BigInt(cell.replace(/[$,.]/g, '')) * 10_000_000n
  }
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
  if (shown) places = Math.max(places, Math.min(fraction.length, 6))
  if (shown && parts.currency) currencies.add(CODES[parts.currency] ?? parts.currency)
  return parts.negative ? -size : size
}

const COMMON = /^-?\$?(\d+|\d{1,3}(,\d{3})+)\.\d\d$/
const CODES = { '$': 'USD', '€': 'EUR', '£': 'GBP', '¥': 'JPY', '₹': 'INR' }
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
let text = await readFile(FILE)
if (text.startsWith('\ufeff')) text = text.slice(1)
if (text.includes('\r')) text = text.replace(/\r\n?/g, '\n')
text = text.replace(/^sep=.\n/i, '\n')

const notes = []
const TOTAL = /^\s*((grand|sub)[ -]?)?(totals?|sum|summe|gesamt)\s*:?\s*$/i

// The rows below the header. A last one that is a total of the others is left out.
function eachRow(visit) {
  let index = -1
  let held
  let more = true
  parse(text, DELIMITER, (row, line) => {
    if (isBlank(row) || ++index <= HEADER_ROW) return true
    if (held) more = visit(held.row, held.line) !== false
    held = { row, line }
    return more
  })
  if (!more || !held) return
  if (!TOTAL.test(held.row.find((cell) => cell.trim() !== ''))) visit(held.row, held.line)
  else if (!notes.some((note) => note.endsWith(OWN_TOTAL))) notes.push('The last line (' + held.line + OWN_TOTAL)
}
const OWN_TOTAL = ') is a total of the file itself and was left out.'

// Line numbers, the first few of them, for a note.
function lineList() {
  const first = []
  let count = 0
  return {
    add(line) {
      count++
      if (first.length < 8) first.push(line)
    },
    note(before, after) {
      const more = count > first.length ? ' and ' + (count - first.length) + ' more' : ''
      if (count > 0) notes.push(before + (count === 1 ? ' in line ' : ' in lines ') + first.join(', ') + more + after)
    },
  }
}
`
