import type { Json } from '../runtime/json.ts'

/**
 * Text that PostgreSQL's `jsonb` takes: it refuses NUL and lone surrogates, and a step whose tool returned one
 * could never be saved.
 */
export function cleanText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd')
}

/** The same for every text of a result, names of fields included. */
export function cleanJson(value: Json): Json {
  if (typeof value === 'string') return cleanText(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(cleanJson)
  // `fromEntries` defines, and so makes a field of `__proto__` too.
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [cleanText(key), cleanJson(one)]))
}
