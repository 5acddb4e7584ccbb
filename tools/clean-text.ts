import type { Json } from '../runtime/json.ts'

/**
 * Text that PostgreSQL's `jsonb` takes: it refuses NUL and lone surrogates, and a step whose tool returned one
 * could never be saved.
 */
export function cleanText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd')
}

/** The same value with each text in it as `change` makes it, names of fields included. */
export function mapTexts(value: Json, change: (text: string) => string): Json {
  if (typeof value === 'string') return change(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((one) => mapTexts(one, change))
  // `fromEntries` defines, and so makes a field of `__proto__` too.
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [change(key), mapTexts(one, change)]))
}
