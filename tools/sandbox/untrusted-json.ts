import type { Json } from '../../runtime/json.ts'
import { cleanText } from '../clean-text.ts'

/** Deep enough for data, shallow enough for every recursive walk that a value meets later. */
const MAX_DEPTH = 100
const POLLUTING = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * JSON from a guest as plain data: keys that reach a prototype are dropped, text is made storable. Throws
 * `SyntaxError` on what is no JSON and on more than 100 levels.
 */
export function parseUntrusted(text: string): Json {
  if (depthOf(text) > MAX_DEPTH) throw new SyntaxError(`More than ${MAX_DEPTH} levels of arrays and objects`)
  return clean(JSON.parse(text) as Json)
}

function clean(value: Json): Json {
  if (typeof value === 'string') return cleanText(value)
  if (Array.isArray(value)) return value.map(clean)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).filter(([key]) => !POLLUTING.has(key))
  return Object.fromEntries(kept.map(([key, inner]) => [cleanText(key), clean(inner)]))
}

/** Counted in the text, because a parser may already have overflowed its stack on what it reads. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (quoted && char === '\\') at++
    else if (char === '"') quoted = !quoted
    else if (quoted) continue
    else if (char === '[' || char === '{') deepest = Math.max(deepest, ++depth)
    else if (char === ']' || char === '}') depth--
  }
  return deepest
}
