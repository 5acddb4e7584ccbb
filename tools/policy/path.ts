import type { Json } from '../../runtime/json.ts'

const NAME = String.raw`[^.[\],]+`
const INDEX = String.raw`\[(?:\d{1,9}|\*)\]`
const PATH = new RegExp(`^(?:${NAME}|${INDEX})(?:\\.${NAME}|${INDEX})*$`)

export function isPath(paths: string): boolean {
  return splitPaths(paths).every((path) => PATH.test(path))
}

export interface Found {
  values: Json[]
  /** False where some elements of a list have what was asked for, and others do not. */
  complete: boolean
}

/**
 * What stands in the arguments at these paths: `a.b[0].c`, with `[*]` for all of a list, several with commas. A list
 * counts as its elements, at the end of a path and in the middle of it, and `[*]` and `[0]` of what is no list are the
 * thing itself, because tools take either. What is missing or null is no value.
 */
export function valuesAt(args: Json, paths: string): Found {
  const found = splitPaths(paths).map((path) => valuesOf(args, path))
  return {
    values: found.flatMap(({ values }) => values),
    complete: found.every(({ complete }) => complete),
  }
}

function valuesOf(args: Json, path: string): Found {
  let found: Json[] = [args]
  let missing = false
  for (const [name, index] of path.matchAll(/[^.[\]]+|\[(\d+|\*)\]/g)) {
    if (index !== undefined) found = found.flatMap((value) => elementsAt(value, index))
    else {
      const members = found.flatMap(leavesOf).map((value) => memberOf(value, name))
      found = members.filter((member) => member !== null)
      missing ||= found.length < members.length
    }
  }
  const values = found.flatMap((value) => (value === null ? [] : leavesOf(value)))
  return { values, complete: values.length === 0 || !missing }
}

function elementsAt(value: Json, index: string): Json[] {
  if (!Array.isArray(value)) return index === '*' || Number(index) === 0 ? [value] : []
  if (index === '*') return value
  const element = value[Number(index)]
  return element === undefined ? [] : [element]
}

function memberOf(value: Json, name: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  return Object.hasOwn(value, name) ? (value[name] ?? null) : null
}

function leavesOf(value: Json): Json[] {
  return Array.isArray(value) ? value.flatMap(leavesOf) : [value]
}

function splitPaths(paths: string): string[] {
  return paths.split(',').map((path) => path.trim())
}
