import type { Json } from './json.ts'

/**
 * What a thing must be for the caller to see it at all: things that are not are not there for them. Its metadata must
 * contain this, as PostgreSQL's `@>` means it, but for `$tenant`, which its tenant must be, whatever its metadata says.
 * Empty: everything is seen.
 */
export type Allowed = Record<string, Json>

export const TENANT = '$tenant'

export function restricts(allowed: Allowed): boolean {
  return Object.keys(allowed).length > 0
}
