import { writeFileSync } from 'node:fs'

/** Writes orders.csv and refunds.tsv: `node examples/generate.ts`. The same bytes every time. */
function generate(): void {
  writeFileSync(new URL('orders.csv', import.meta.url), orders())
  writeFileSync(new URL('refunds.tsv', import.meta.url), refunds())
}

const CUSTOMERS = [
  'Alder & Sons',
  'Bayside Coffee',
  'Cobalt Cycles, Inc.',
  'Dunmore Books',
  'Eastgate Dental, LLC',
  'Fernhill Farm',
  'Greenway Landscaping',
  'Harbor, Bell & Co',
  'Ironwood Tools',
  'Juniper Yoga',
  'Kestrel Analytics',
  'Lantern Theatre',
  'Millstone Bakery',
  'Northfield School',
  'Orchid Florists',
  'Pine "The Carpenter" Ltd',
  'Quarry Street Gym',
  'Riverbend Hotel',
  'Silverline Optics',
  'Tamarack Outdoor',
]
const PRODUCTS = [
  'Desk lamp',
  'Paper, A4, 500 sheets',
  'Label printer',
  'Chair 24" wide',
  'Whiteboard',
  'Cable set',
  'Coffee beans, 1 kg',
]
const ROWS = 360

function orders(): string {
  const random = createRandom(20_250_301)
  const lines = ['Order No,Order Date,Customer,Product,Quantity,Amount']
  for (let row = 0; row < ROWS; row++) {
    const returned = random(30) === 0
    const cents = random(12) === 0 && !returned ? 100_000 + random(900_000) : 500 + random(60_000)
    const date = new Date(Date.UTC(2025, 0, 2 + Math.floor((row * 180) / ROWS))).toISOString().slice(0, 10)
    lines.push(
      [
        String(4001 + row),
        date,
        quote(untidy(pick(CUSTOMERS, random), random)),
        quote(pick(PRODUCTS, random)),
        String(1 + random(9)),
        quote(price(returned ? -cents : cents, random)),
      ].join(','),
    )
    if (random(25) === 0) lines.push('')
  }
  return `${lines.join('\n')}\n`
}

/** The same customers in another program's export: other names, order, delimiter and way to write numbers. */
function refunds(): string {
  const random = createRandom(77)
  const lines = ['Betrag\tGrund\tKunde\tBeleg-Nr']
  for (let row = 0; row < 48; row++) {
    const cents = 300 + random(row % 8 === 0 ? 400_000 : 20_000)
    const reason = pick(['beschädigt', 'falsche Größe', 'zu spät geliefert', 'storniert'], random)
    const amount = `${german(cents)}${[' €', '', ' EUR'][random(3)] ?? ''}`
    lines.push([amount, reason, quote(untidy(pick(CUSTOMERS, random), random)), `R-${700 + row}`].join('\t'))
    if (random(12) === 0) lines.push('')
  }
  return `${lines.join('\r\n')}\r\n`
}

/** Half of the names as they are, the rest as hands type them. */
function untidy(name: string, random: Random): string {
  switch (random(8)) {
    case 0:
      return name.toUpperCase()
    case 1:
      return name.toLowerCase()
    case 2:
      return `  ${name} `
    case 3:
      return name.replace(' ', '   ')
    default:
      return name
  }
}

function price(cents: number, random: Random): string {
  const size = Math.abs(cents)
  const plain = (size / 100).toFixed(2)
  const grouped = plain.replace(/\B(?=(\d{3})+\.)/g, ',')
  const sign = cents < 0 ? '-' : ''
  return (
    [
      `${sign}$${grouped}`,
      `${sign}${grouped}`,
      `${sign}${plain}`,
      `${sign}$${plain}`,
      `${sign}${grouped} USD`,
    ][random(5)] ?? plain
  )
}

function german(cents: number): string {
  return (cents / 100)
    .toFixed(2)
    .replace('.', ',')
    .replace(/\B(?=(\d{3})+,)/g, '.')
}

function quote(cell: string): string {
  return /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell
}

type Random = (below: number) => number

/** A linear congruential generator (Knuth's MMIX constants), so that the files never change by themselves. */
function createRandom(seed: number): Random {
  let state = BigInt(seed)
  return (below) => {
    state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) % 2n ** 64n
    return Number((state >> 33n) % BigInt(below))
  }
}

function pick(from: readonly string[], random: Random): string {
  return from[random(from.length)] ?? ''
}

if (import.meta.main) generate()
