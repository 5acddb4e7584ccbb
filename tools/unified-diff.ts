/** Lines around a change that are shown with it. */
const CONTEXT = 3
/** Of the table that finds what two texts have in common; above it the whole difference is one change. */
const MAX_CELLS = 1_000_000

interface Line {
  kind: ' ' | '-' | '+'
  text: string
}

/** What changes, as `diff -u` tells it, without the lines that name the files. Empty where nothing does. */
export function unifiedDiff(before: string, after: string): string {
  const lines = compare(linesOf(before), linesOf(after))
  return hunksOf(lines)
    .map(([from, to]) => hunk(lines, from, to))
    .join('\n')
}

/** A last line without an end says so, as `diff` does: to add the line break is a change. */
function linesOf(text: string): string[] {
  if (text === '') return []
  const lines = text.split('\n')
  const last = lines.pop() ?? ''
  return last === '' ? lines : [...lines, `${last}\n\\ No newline at end of file`]
}

function compare(before: string[], after: string[]): Line[] {
  const shorter = Math.min(before.length, after.length)
  let start = 0
  while (start < shorter && before[start] === after[start]) start += 1
  let end = 0
  while (end < shorter - start && before.at(-1 - end) === after.at(-1 - end)) end += 1
  return [
    ...as(' ', before.slice(0, start)),
    ...between(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...as(' ', before.slice(before.length - end)),
  ]
}

function as(kind: Line['kind'], texts: string[]): Line[] {
  return texts.map((text) => ({ kind, text }))
}

/** Along a longest common subsequence. */
function between(before: string[], after: string[]): Line[] {
  if (before.length * after.length > MAX_CELLS) return [...as('-', before), ...as('+', after)]
  const width = after.length + 1
  const common = new Uint32Array((before.length + 1) * width)
  const at = (i: number, j: number) => common[i * width + j] ?? 0
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = after.length - 1; j >= 0; j--)
      common[i * width + j] =
        before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
  const lines: Line[] = []
  let j = 0
  for (const [i, text] of before.entries()) {
    while (j < after.length && text !== after[j] && at(i, j + 1) > at(i + 1, j))
      lines.push(...as('+', after.slice(j, ++j)))
    const same = text === after[j] && at(i, j) === at(i + 1, j + 1) + 1
    if (same) j += 1
    lines.push({ kind: same ? ' ' : '-', text })
  }
  return [...lines, ...as('+', after.slice(j))]
}

/** Ranges of lines with the changes that are near each other. */
function hunksOf(lines: Line[]): [number, number][] {
  const hunks: [number, number][] = []
  for (const [index, { kind }] of lines.entries()) {
    if (kind === ' ') continue
    const last = hunks.at(-1)
    const to = Math.min(lines.length, index + CONTEXT + 1)
    if (last !== undefined && index - CONTEXT <= last[1]) last[1] = to
    else hunks.push([Math.max(0, index - CONTEXT), to])
  }
  return hunks
}

function hunk(lines: Line[], from: number, to: number): string {
  const shown = lines.slice(from, to)
  const range = (list: Line[], inside: Line[]) =>
    `${list.length + (inside.length > 0 ? 1 : 0)},${inside.length}`
  const old = (list: Line[]) => list.filter(({ kind }) => kind !== '+')
  const now = (list: Line[]) => list.filter(({ kind }) => kind !== '-')
  const before = lines.slice(0, from)
  const head = `@@ -${range(old(before), old(shown))} +${range(now(before), now(shown))} @@`
  return [head, ...shown.map(({ kind, text }) => `${kind}${text}`)].join('\n')
}
