/** Amounts by name, as text: names folded by `fold`, numbers without thousands separators. */
export type Table = ReadonlyMap<string, string>

/** Names are the same whatever their case and spaces. */
export function fold(text: string): string {
  return text.normalize('NFC').replace(/\s+/g, ' ').trim().toLowerCase()
}

/** The lines of a text that end in a number of their own column. A name that comes twice keeps both, as `name #2`. */
export function readRows(text: string): Table {
  const rows = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const [, name, amount] = /^(\S.*?)\s{2,}(-?[\d,]*\d(?:\.\d+)?)\s*$/.exec(line) ?? []
    if (name !== undefined && amount !== undefined) addRow(rows, name, amount.replaceAll(',', ''))
  }
  return rows
}

export function addRow(rows: Map<string, string>, name: string, amount: string): void {
  const folded = fold(name)
  const same = [...rows.keys()].filter((key) => key === folded || key.startsWith(`${folded} #`)).length
  rows.set(same === 0 ? folded : `${folded} #${same + 1}`, amount)
}

/** What is missing, different and too much, in words; empty where the tables are the same. */
export function differences(expected: Table, found: Table): string[] {
  const wrong = [...expected].flatMap(([name, amount]) => {
    const got = found.get(name)
    if (got === amount) return []
    return [got === undefined ? `no row "${name}"` : `"${name}" is ${got} instead of ${amount}`]
  })
  const extra = [...found.keys()]
    .filter((name) => !expected.has(name))
    .map((name) => `a row "${name}" too much`)
  return [...wrong, ...extra]
}
