import type { Json } from '../chat-protocol/completion.ts'
import { isRecord } from './tool-result.ts'

/** The plainest value that a JSON schema allows: for questions whose answer no rule here knows. */
export function fillSchema(schema: unknown, root: unknown = schema, depth = 0): Json {
  if (!isRecord(schema) || depth > 20) return null
  if (typeof schema['$ref'] === 'string') return fillSchema(resolve(schema['$ref'], root), root, depth + 1)
  if ('const' in schema) return schema['const'] as Json
  if ('default' in schema) return schema['default'] as Json
  if (Array.isArray(schema['enum'])) return schema['enum'][0] as Json
  const options = schema['anyOf'] ?? schema['oneOf']
  if (Array.isArray(options)) return fillSchema(options.find(isNullable) ?? options[0], root, depth + 1)
  if (Array.isArray(schema['allOf'])) return mergeAll(schema['allOf'], root, depth)
  const type = Array.isArray(schema['type'])
    ? (schema['type'].find((one) => one === 'null') ?? schema['type'][0])
    : schema['type']
  switch (type) {
    case 'object':
      return fillObject(schema, root, depth)
    case 'array':
      return Array.from({ length: Number(schema['minItems'] ?? 0) }, () =>
        fillSchema(schema['items'], root, depth + 1),
      )
    case 'string':
      return text(schema)
    case 'number':
    case 'integer':
      return number(schema)
    case 'boolean':
      return false
    default:
      return isRecord(schema['properties']) ? fillObject(schema, root, depth) : null
  }
}

function fillObject(schema: Record<string, unknown>, root: unknown, depth: number): Json {
  const properties = isRecord(schema['properties']) ? schema['properties'] : {}
  const required = Array.isArray(schema['required']) ? schema['required'].map(String) : []
  return Object.fromEntries(required.map((name) => [name, fillSchema(properties[name], root, depth + 1)]))
}

function mergeAll(parts: unknown[], root: unknown, depth: number): Json {
  const filled = parts.map((part) => fillSchema(part, root, depth + 1))
  return filled.every(isRecord) ? (Object.assign({}, ...filled) as Json) : (filled[0] ?? null)
}

function text(schema: Record<string, unknown>): string {
  const said = 'rehearsal model: rules, not intelligence'.slice(0, Number(schema['maxLength'] ?? Infinity))
  return said.padEnd(Number(schema['minLength'] ?? 0), '.')
}

function number(schema: Record<string, unknown>): number {
  if (typeof schema['minimum'] === 'number') return Math.max(0, schema['minimum'])
  if (typeof schema['exclusiveMinimum'] === 'number') return Math.max(0, schema['exclusiveMinimum'] + 1)
  return Math.min(0, Number(schema['maximum'] ?? 0))
}

function isNullable(option: unknown): boolean {
  return isRecord(option) && option['type'] === 'null'
}

function resolve(ref: string, root: unknown): unknown {
  return ref
    .replace(/^#\/?/, '')
    .split('/')
    .reduce<unknown>((at, key) => (key === '' ? at : isRecord(at) ? at[key] : undefined), root)
}
