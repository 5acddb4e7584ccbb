/** A file as somebody's export might have it, and what is true of it. */
export interface MessyTable {
  file: string
  text: string
  delimiter: string
  task: string
  /** Cents by the customer's name in lower case. */
  totals: Map<string, number>
  groupColumn: string
  valueColumn: string
  /** Reads one of the amounts: each table has a single way to write them. */
  readCents: (cell: string) => number | null
}

/** Tables with columns, orders, delimiters and dirt that follow from the seed. */
export function messyTable(seed: number): MessyTable {
  const random = createRandom(seed)
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T
  const group = pick(GROUPS)
  const value = pick(VALUES)
  const style = pick(STYLES)
  const delimiter = style.name === 'european' ? pick([';', '\t', '|']) : pick([',', ';', '\t', '|'])
  const others = shuffle(OTHERS, random).slice(0, 1 + random(4))
  const columns = shuffle(
    [...others, { name: group.name, cell: null }, { name: value.name, cell: null }],
    random,
  )
  const newline = pick(['\n', '\r\n'])
  const totals = new Map<string, number>()
  const quoteAll = random(4) === 0

  const write = (cell: string) => {
    const must = cell.includes(delimiter) || /["\n]/.test(cell) || quoteAll
    return must ? `"${cell.replaceAll('"', '""')}"` : cell
  }
  const lines = [columns.map(({ name }) => write(name)).join(delimiter)]
  const names = shuffle(NAMES, random).slice(0, 3 + random(7))
  const rows = 12 + random(120)
  for (let row = 0; row < rows; row++) {
    const name = pick(names)
    const cents = random(9) === 0 ? 100_000 + random(90_000_000) : random(99_999)
    const negative = style.negative !== undefined && random(10) === 0
    const amount = negative ? (style.negative?.(style.write(cents)) ?? '') : style.write(cents)
    const missing = random(25) === 0
    if (!missing)
      totals.set(name.toLowerCase(), (totals.get(name.toLowerCase()) ?? 0) + (negative ? -cents : cents))
    const cells = columns.map((column) => {
      if (column.cell) return column.cell(random, row)
      if (column.name === group.name) return untidy(name, random)
      return missing ? pick(['', 'n/a', '-', 'unknown']) : amount
    })
    lines.push(cells.map(write).join(delimiter))
    if (random(15) === 0) lines.push(pick(['', '', '   ', delimiter.repeat(columns.length - 1)]))
  }
  const file = pick(['data.csv', 'export 2025.csv', 'q3/sales.tsv', 'book.csv'])
  const named = pick([true, true, false])
  const task = pick(TASKS)(value.said, group.said, named ? (file.includes(' ') ? `"${file}"` : file) : null)
  return {
    file,
    text: pick(['', '\ufeff']) + lines.join(newline) + pick(['', newline]),
    delimiter,
    task,
    totals,
    groupColumn: group.name,
    valueColumn: value.name,
    readCents: style.read,
  }
}

const GROUPS = [
  { name: 'Customer', said: 'customer' },
  { name: 'client_name', said: 'customer' },
  { name: 'Kunde', said: 'customer' },
  { name: 'Buyer', said: 'customer' },
  { name: 'Sold To', said: 'sold to' },
  { name: 'AccountManager', said: 'account manager' },
  { name: 'Flim', said: 'flim' },
  { name: 'Responsable', said: 'responsable' },
  { name: 'Region', said: 'region' },
  { name: 'supplier', said: 'vendor' },
  { name: 'Depot (name)', said: 'depot' },
  { name: 'First Contact', said: 'first contact' },
  { name: 'Bill-To Party', said: 'bill-to party' },
]

const VALUES = [
  { name: 'Amount', said: 'orders' },
  { name: 'order_total', said: 'orders' },
  { name: 'Betrag (EUR)', said: 'orders' },
  { name: 'Net Value', said: 'net value' },
  { name: 'Revenue', said: 'revenue' },
  { name: 'Zorg', said: 'zorg' },
  { name: 'Importe', said: 'importe' },
  { name: 'LineTotal', said: 'line total' },
  { name: 'Price', said: 'price' },
  { name: 'Gesamtbetrag', said: 'Gesamtbetrag' },
  { name: 'spend_usd', said: 'spend' },
  { name: 'List Price', said: 'list price' },
  { name: 'Sum of Lines', said: 'sum of lines' },
]

const OTHERS: { name: string; cell: ((random: Random, row: number) => string) | null }[] = [
  { name: 'Order ID', cell: (_, row) => String(10_000 + row) },
  { name: 'Datum', cell: (random) => `2025-0${1 + random(9)}-1${random(9)}` },
  { name: 'posted', cell: (random) => `${10 + random(18)}.0${1 + random(9)}.2025` },
  { name: 'Qty', cell: (random) => String(1 + random(20)) },
  { name: 'Tax Rate', cell: (random) => `${[7, 19, 20][random(3)]}%` },
  {
    name: 'Notes',
    cell: (random) => ['', 'call "Bob", twice', 'two\nlines', 'a; b | c, d', `it's 5" long`][random(5)] ?? '',
  },
  { name: 'Postcode', cell: (random) => String(10_000 + random(80_000)) },
  { name: 'SKU', cell: (random) => `AB-${random(900)}` },
]

const NAMES = [
  'Acme, Inc',
  'Bold & Sons',
  'Café Zürich',
  "D'Angelo",
  'Émile "The Fish" Noir',
  'Foo; Bar GmbH',
  'Granite',
  'Hill | Dale',
  'Ångström AB',
  'Jones',
  'Jones and Daughters',
  '3M Germany',
]

interface Style {
  name: string
  write: (cents: number) => string
  read: (cell: string) => number | null
  negative?: (amount: string) => string
}

const US = (cents: number) => (cents / 100).toFixed(2).replace(/\B(?=(\d{3})+\.)/g, ',')
const EU = (cents: number) =>
  (cents / 100)
    .toFixed(2)
    .replace('.', ',')
    .replace(/\B(?=(\d{3})+,)/g, '.')

const cents = (text: string) => (/\d/.test(text) ? Math.round(Number(text) * 100) : null)
const sign = (cell: string) => (/[-−(]/.test(cell) ? '-' : '')
const readUs = (cell: string) => cents(sign(cell) + cell.replace(/[^\d.]/g, ''))
const readEu = (cell: string) => cents(sign(cell) + cell.replace(/[^\d,]/g, '').replace(',', '.'))

const STYLES: Style[] = [
  {
    name: 'plain',
    write: (value) => (value / 100).toFixed(2),
    read: readUs,
    negative: (amount) => `-${amount}`,
  },
  { name: 'dollar', write: (value) => `$${US(value)}`, read: readUs, negative: (amount) => `(${amount})` },
  { name: 'code', write: (value) => `USD ${US(value)}`, read: readUs, negative: (amount) => `-${amount}` },
  { name: 'pounds', write: (value) => `£ ${US(value)}`, read: readUs, negative: (amount) => `${amount}-` },
  { name: 'shortest', write: (value) => String(value / 100), read: readUs },
  { name: 'european', write: EU, read: readEu, negative: (amount) => `-${amount}` },
  { name: 'european', write: (value) => `${EU(value)} €`, read: readEu, negative: (amount) => `−${amount}` },
  { name: 'european', write: (value) => `${EU(value)} EUR`, read: readEu },
  { name: 'spaced', write: (value) => US(value).replaceAll(',', '\u00a0'), read: readUs },
  {
    name: 'swiss',
    write: (value) => `CHF ${US(value).replaceAll(',', "'")}`,
    read: readUs,
    negative: (amount) => `-${amount}`,
  },
]

const TASKS: ((value: string, group: string, file: string | null) => string)[] = [
  (value, group, file) =>
    `Total the ${value} by ${group}${file ? ` in ${file}` : ''} and mail the result to ops@example.com`,
  (value, group, file) =>
    `sum of ${value} per ${group}${file ? ` of ${file}` : ''}, then email it to ops@example.com`,
  (value, group, file) =>
    `${file ? `In ${file}, sum` : 'Sum'} up the ${value} for each ${group} and send the totals to ops@example.com.`,
  (value, group, file) =>
    `Please mail ops@example.com the total ${value} by ${group}${file ? ` from ${file}` : ''}`,
]

function untidy(name: string, random: Random): string {
  return (
    [
      name,
      name,
      name.toUpperCase(),
      name.toLowerCase(),
      ` ${name}  `,
      name.replace(' ', '  '),
      `${name}\u00a0`,
    ][random(7)] ?? name
  )
}

export type Random = (below: number) => number

function createRandom(seed: number): Random {
  let state = Math.imul(seed, 2_654_435_761) >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function shuffle<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, rank: random(1_000_000) }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}
