import type { Line } from './checks/check.ts'

const MOST_LOOKS = 10

/** The lines as a table; what is wrong is marked, and below it stands what to look at. */
export function table(lines: Line[]): string {
  const width = Math.max(...lines.map(({ what }) => what.length))
  const rows = lines.map(({ what, found, ok }) => `${ok ? ' ' : '✗'} ${what.padEnd(width)}  ${found}`)
  const looks = lines
    .filter(({ ok, look }) => !ok && look.length > 0)
    .map(({ what, look }) => {
      const more = look.length > MOST_LOOKS ? [`… and ${look.length - MOST_LOOKS} more`] : []
      return [`${what}:`, ...[...look.slice(0, MOST_LOOKS), ...more].map((text) => `  ${text}`)].join('\n')
    })
  return [...rows, ...(looks.length > 0 ? ['', 'Look at:', ...looks] : [])].join('\n')
}
