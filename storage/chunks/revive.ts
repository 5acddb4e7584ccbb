import * as messages from '@langchain/core/messages'
import type { SerializerProtocol } from '@langchain/langgraph-checkpoint'

/**
 * What the serializer makes of JSON, but at once where it is plain data and messages: its own way makes a promise of
 * every part and writes each message as JSON again, 25 µs for one. All else is left to it.
 */
export function revive(serde: SerializerProtocol, json: string): unknown {
  const value = revived(JSON.parse(json), 0)
  return value === STRANGE ? serde.loadsTyped('json', json) : value
}

/** The same of a small part of other JSON. */
export function reviveParsed(serde: SerializerProtocol, parsed: unknown): unknown {
  return typeof parsed === 'object' && parsed !== null ? revive(serde, JSON.stringify(parsed)) : parsed
}

const STRANGE = Symbol('for the serializer')
/** `load` refuses what is deeper than 50. */
const DEEPEST = 40

function revived(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth > DEEPEST) return STRANGE
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item = revived(value[i], depth + 1)
      if (item === STRANGE) return STRANGE
      value[i] = item
    }
    return value
  }
  const record = value as Record<string, unknown>
  if ('lc' in record) return message(record)
  for (const key in record) {
    const item = record[key]
    if (typeof item !== 'object' || item === null) continue
    const one = key === '__proto__' ? STRANGE : revived(item, depth + 1)
    if (one === STRANGE) return STRANGE
    record[key] = one
  }
  return record
}

type MessageClass = new (fields: Record<string, unknown>) => unknown

const CLASSES = new Map(
  Object.entries({ ...messages })
    .filter(([name]) => /^(AI|Human|System|Tool|Function|Chat|Remove)Message(Chunk)?$/.test(name))
    .map(([name, value]) => [name, value as unknown as MessageClass]),
)

function message(record: Record<string, unknown>): unknown {
  const { lc, type, id, kwargs } = record
  if (lc !== 1 || type !== 'constructor' || !Array.isArray(id) || id.length !== 3) return STRANGE
  const builder = CLASSES.get(String(id[2]))
  if (builder === undefined || id[0] !== 'langchain_core' || id[1] !== 'messages') return STRANGE
  if (typeof kwargs !== 'object' || kwargs === null || !isPlain(kwargs, 0)) return STRANGE
  const aliases = aliasesOf(builder)
  const fields: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(kwargs)) {
    if (aliases.has(key)) fields[key] = value
    // Other names with separators are turned into others by `load`.
    else if (/[-_\s]/.test(key)) return STRANGE
    else fields[key] = value
  }
  return new builder(fields)
}

const known = new WeakMap<MessageClass, Set<string>>()

/** The names that stay as they are. */
function aliasesOf(builder: MessageClass): Set<string> {
  let names = known.get(builder)
  if (names !== undefined) return names
  names = new Set()
  for (
    let one: object | null = builder.prototype as object;
    one !== null;
    one = Object.getPrototypeOf(one) as object | null
  ) {
    const aliases = Reflect.get(one, 'lc_aliases') as Record<string, string> | undefined
    for (const [key, alias] of Object.entries(aliases ?? {})) if (key === alias) names.add(key)
  }
  known.set(builder, names)
  return names
}

/** Without anything that the serializer, or `load` inside a message, would make something else of. */
function isPlain(value: object, depth: number): boolean {
  if (depth > DEEPEST || 'lc' in value || '__lc_escaped__' in value || Object.hasOwn(value, '__proto__'))
    return false
  for (const part of Object.values(value) as unknown[])
    if (typeof part === 'object' && part !== null && !isPlain(part, depth + 1)) return false
  return true
}
