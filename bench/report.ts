import type { SideName } from './sides.ts'
import type { Workload } from './workloads.ts'

export interface Row {
  workload: Workload
  /** One of each round. */
  figures: Partial<Record<SideName, number[]>>
}

export interface Report {
  rounds: number
  sides: readonly SideName[]
  rows: Row[]
  /** Bytes: of each side's process before any load, and for each reader of a thread on which nothing happens. */
  memory: {
    atRest: Partial<Record<SideName, number>>
    /** Holdpoint's, on PostgreSQL. */
    perReader: number | undefined
  }
}

const TITLES: Record<SideName, string> = {
  bare: 'bare graph, PostgresSaver',
  saver: 'bare graph, our saver',
  holdpoint: 'Holdpoint, PostgreSQL',
  embedded: 'Holdpoint, PGlite',
  official: 'official, in memory',
}

/** How much worse than the baseline a ratio may be: machines differ, and so do the hours of one. */
const TOLERANCE = 1.5

/** A Markdown table: medians, and in brackets what they are to the first side's. */
export function format({ rounds, sides, rows, memory }: Report): string {
  const cells = (first: string, of: (side: SideName) => string) =>
    `| ${[first, ...sides.map(of)].join(' | ')} |`
  const lines = [
    cells('', (side) => TITLES[side]),
    `|---|${'---|'.repeat(sides.length)}`,
    ...rows.map(({ workload, figures }) => {
      const [base] = sides.filter((side) => figures[side] !== undefined)
      return cells(unitOf(workload), (side) =>
        cellOf(figures[side], side === base ? undefined : figures[base ?? side]),
      )
    }),
    cells('memory at rest, MB', (side) => megabytes(memory.atRest[side])),
  ]
  if (memory.perReader !== undefined) {
    const figure = short(memory.perReader / 1e3)
    lines.push(cells('memory for each idle reader, KB', (side) => (side === 'holdpoint' ? figure : '')))
  }
  return `Medians of ${rounds} rounds; in brackets what they are to the first of their row.\n\n${lines.join('\n')}\n`
}

function unitOf({ what, unit }: Workload): string {
  return unit === 'ms' ? `${what}, ms` : what
}

function cellOf(figures: number[] | undefined, base: number[] | undefined): string {
  if (figures === undefined) return ''
  const figure = middle(figures)
  return base === undefined ? short(figure) : `${short(figure)} (${(figure / middle(base)).toFixed(2)})`
}

const megabytes = (bytes: number | undefined) => (bytes === undefined ? '' : short(bytes / 1e6))

function short(figure: number): string {
  return figure.toFixed(figure < 100 ? 1 : 0)
}

function middle(figures: number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN
}

/** Each side's figures by those of the first one in their row, the more the better: what a change may not make much less. */
export function ratiosOf({ sides, rows }: Report): Record<string, number> {
  const ratios: Record<string, number> = {}
  for (const { workload, figures } of rows) {
    const [base, ...others] = sides.filter((side) => figures[side] !== undefined)
    for (const side of others) {
      const ratio = middle(figures[side] ?? []) / middle(figures[base ?? side] ?? [])
      ratios[`${workload.name} ${side}`] = Number((workload.unit === 'ms' ? 1 / ratio : ratio).toPrecision(3))
    }
  }
  return ratios
}

/** One line for each ratio that is. */
export function worse(report: Report, baseline: Record<string, number>): string[] {
  return Object.entries(ratiosOf(report)).flatMap(([name, ratio]) => {
    const usual = baseline[name]
    if (usual === undefined || ratio * TOLERANCE >= usual) return []
    return [
      `${name}: ${ratio}, where ${usual} is usual. Find what made it slower, or keep it with --save and say why.`,
    ]
  })
}

const [BEGIN, END] = ['<!-- npm run bench -- --docs -->', '<!-- until here -->']

/** The page with the table in its place. Throws where it has none. */
export function withTable(page: string, table: string): string {
  const [before, rest] = page.split(BEGIN)
  const [, after] = rest?.split(END) ?? []
  if (after === undefined)
    throw new Error(`docs/performance.md has no place for the table: ${BEGIN} … ${END}.`)
  return `${before}${BEGIN}\n\n${table}\n${END}${after}`
}
