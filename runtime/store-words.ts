import type { Json } from './json.ts'

/**
 * PostgreSQL refuses more than 1 MB of distinct words. Each takes up to eight bytes more than its letters, so that
 * this many characters always fit.
 */
const MAX_CHARACTERS = 200_000

/**
 * The text that an item is found by: every text and number in its value, or in the fields that `index` names
 * (`title`, `chapters[*].content`, `authors[0].name`, `$` for all). `null` where it is not to be found.
 */
export function wordsOf(value: Json, index: false | string[] | undefined): string | null {
  if (index === false) return null
  const parts = index === undefined ? [value] : index.flatMap((path) => at(value, stepsOf(path)))
  const texts: string[] = []
  let room = MAX_CHARACTERS
  for (const text of parts.flatMap(leaves)) {
    if (room <= 0) break
    texts.push(text.slice(0, room))
    room -= text.length + 1
  }
  return texts.join('\n')
}

function leaves(value: Json): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value === 'number') return [String(value)]
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(leaves)
}

/** `chapters[*].content` is three steps. */
function stepsOf(path: string): string[] {
  return path === '$' ? [] : (path.match(/[^.[\]]+/g) ?? [])
}

function at(value: Json, [step, ...rest]: string[]): Json[] {
  if (step === undefined) return [value]
  if (typeof value !== 'object' || value === null) return []
  if (step === '*') return Object.values(value).flatMap((one) => at(one, rest))
  if (Array.isArray(value)) {
    const one = value.at(Number(step))
    return one === undefined || !/^-?\d+$/.test(step) ? [] : at(one, rest)
  }
  const one = Object.hasOwn(value, step) ? value[step] : undefined
  return one === undefined ? [] : at(one, rest)
}
