import { expect, test } from 'vitest'
import { unifiedDiff } from '../../../tools/unified-diff.ts'

test('what changes is shown between what does not, as diff -u does', () => {
  const before = 'a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n'
  const after = 'a\nb\nC\nd\ne\nf\ng\nh\ni\nj\nk\nm\nl\n'
  expect(unifiedDiff(before, after)).toBe(
    '@@ -1,6 +1,6 @@\n a\n b\n-c\n+C\n d\n e\n f\n@@ -9,4 +9,5 @@\n i\n j\n k\n+m\n l',
  )
})

test('a new file, an empty one, the same one, and one without a last line break', () => {
  expect(unifiedDiff('', 'a\nb\n')).toBe('@@ -0,0 +1,2 @@\n+a\n+b')
  expect(unifiedDiff('a\n', '')).toBe('@@ -1,1 +0,0 @@\n-a')
  expect(unifiedDiff('a\nb\n', 'a\nb\n')).toBe('')
  expect(unifiedDiff('a', 'a\n')).toBe('@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a')
})

test('whatever two texts there are, the difference makes the second of the first', () => {
  const random = lcg(7)
  const text = () =>
    Array.from({ length: random(30) }, () => `${'abc'[random(3)]}\n`).join('') +
    (random(4) === 0 ? 'end' : '')
  for (let round = 0; round < 2_000; round += 1) {
    const [before, after] = [text(), text()]
    expect(applied(before, unifiedDiff(before, after))).toBe(after)
  }
})

test('texts that have too many lines to compare are one change', () => {
  const lines = (mark: string) => Array.from({ length: 1_500 }, (_, index) => `${mark}${index}\n`).join('')
  const [before, after] = [lines('a'), lines('b')]
  expect(applied(before, unifiedDiff(before, after))).toBe(after)
})

/** As `patch` would. */
function applied(before: string, diff: string): string {
  const old = before === '' ? [] : before.replace(/\n$/, '').split('\n')
  const result: string[] = []
  let at = 0
  let unended = !before.endsWith('\n') && before !== ''
  for (const line of diff === '' ? [] : diff.split('\n')) {
    const start = /^@@ -(\d+),(\d+) /.exec(line)
    if (start !== null) {
      const first = Number(start[1]) - (start[2] === '0' ? 0 : 1)
      result.push(...old.slice(at, first))
      at = first
    } else if (line.startsWith('\\')) {
      // It speaks of the line before it.
      continue
    } else if (line.startsWith('+')) {
      result.push(line.slice(1))
    } else {
      expect(line.slice(1)).toBe(old[at])
      if (line.startsWith(' ')) result.push(line.slice(1))
      at += 1
    }
  }
  result.push(...old.slice(at))
  const ends = diff.split('\n')
  if (/(^|\n)(\+|-)/.test(diff)) {
    const note = ends.findLastIndex((line) => line.startsWith('\\'))
    if (note >= 0) unended = !ends[note - 1]?.startsWith('-')
  }
  return result.length === 0 ? '' : `${result.join('\n')}${unended ? '' : '\n'}`
}

/** Numbers below `limit`, the same in each run. */
function lcg(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}
