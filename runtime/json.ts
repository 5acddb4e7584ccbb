export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

interface Message {
  toDict(): { type: string; data: Record<string, unknown> }
}

function isMessage(value: unknown): value is Message {
  return (
    typeof value === 'object' && value !== null && 'toDict' in value && typeof value.toDict === 'function'
  )
}

/**
 * JSON text as the Agent Server protocol has it: messages flattened to `{...data, type}`, dates as ISO 8601,
 * errors as `{error, message}`. Messages are recognised by shape, because a user's graph may bring its own copy
 * of LangChain.
 */
export function encode(value: unknown): string {
  return JSON.stringify(value, replace) ?? 'null'
}

/** The same, with what `turn` makes of each part. `holder`: what the part is in. */
export function encodeWith(
  value: unknown,
  turn: (holder: object, key: string, part: unknown) => unknown,
): string {
  const text = JSON.stringify(value, function (this: Record<string, unknown>, key, part: unknown) {
    return turn(this, key, replace.call(this, key, part))
  })
  return text ?? 'null'
}

function replace(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const raw = this[key]
  if (isMessage(raw)) {
    const { type, data } = raw.toDict()
    return { ...data, type }
  }
  if (raw instanceof Error) return { error: raw.name, message: raw.message }
  if (raw instanceof Map) return Object.fromEntries(raw)
  if (raw instanceof Set) return [...raw]
  if (typeof raw === 'bigint') return raw.toString()
  return value
}

/** The value as a client would read it back. */
export function toJson(value: unknown): Json {
  return JSON.parse(encode(value)) as Json
}
