import type { Json } from './json.ts'

/**
 * What the metadata of a thing must contain, as PostgreSQL's `@>` means it, for the caller to see it at all: things
 * without are not there for them. Empty: everything is.
 */
export type Allowed = Record<string, Json>

/** As `metadata @> allowed` for the conditions that there are: a scalar, or a list with these scalars in it. */
export function isAllowed(metadata: Record<string, Json>, allowed: Allowed): boolean {
  return Object.entries(allowed).every(([key, wanted]) => {
    const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined
    if (!Array.isArray(wanted)) return value === wanted
    return Array.isArray(value) && wanted.every((one) => value.includes(one))
  })
}

export function restricts(allowed: Allowed): boolean {
  return Object.keys(allowed).length > 0
}
