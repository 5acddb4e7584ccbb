/**
 * Text that PostgreSQL's `jsonb` takes: it refuses NUL and lone surrogates, and a step whose tool returned one
 * could never be saved.
 */
export function cleanText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd')
}
