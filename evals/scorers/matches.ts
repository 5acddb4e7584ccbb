import { isDeepStrictEqual } from 'node:util'
import type { CallMatch } from '../case.ts'

/** Why a call is not the one that was expected; null if it is. */
export function mismatch(
  wanted: CallMatch,
  found: { tool: string; args: unknown; namespace?: string; ends?: string },
): string | null {
  if (found.tool !== wanted.tool) return `${found.tool} instead of ${wanted.tool}`
  const args = (found.args ?? {}) as Record<string, unknown>
  const wrong = Object.entries(wanted.args).find(([name, value]) => !fits(value, args[name]))
  if (wrong) {
    const [name, value] = wrong
    return `${found.tool} with ${name} ${JSON.stringify(args[name])?.slice(0, 80)} instead of ${value instanceof RegExp ? String(value) : JSON.stringify(value)}`
  }
  if (wanted.by !== undefined && found.namespace?.split(':')[0] !== wanted.by)
    return `${found.tool} by ${found.namespace || 'the graph'} instead of ${wanted.by}`
  if (found.ends !== undefined && found.ends !== wanted.ends)
    return `${found.tool} ended with ${found.ends} instead of ${wanted.ends}`
  return null
}

function fits(wanted: unknown, found: unknown): boolean {
  return wanted instanceof RegExp
    ? typeof found === 'string' && wanted.test(found)
    : isDeepStrictEqual(wanted, found)
}
