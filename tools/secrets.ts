import { serviceKey } from '../runtime/services.ts'

/** What tools may be given by name. Values are in no state, no message and no log. */
export interface Secrets {
  /** `undefined`: there is none, or tools may not have it. */
  get(name: string): string | undefined
}

export const SECRETS = serviceKey<Secrets>('secrets')

/** Those of the environment that the operator has named. */
export function secretsOf(names: string[], environment: Record<string, string | undefined>): Secrets {
  const allowed = new Set(names)
  return { get: (name) => (allowed.has(name) ? environment[name] || undefined : undefined) }
}
