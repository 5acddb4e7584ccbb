// @ts-check

/**
 * The part of JSON Schema that the server's description uses.
 * @typedef {object} Schema
 * @property {string | string[]} [type]
 * @property {unknown} [const]
 * @property {unknown[]} [enum]
 * @property {(Schema | boolean)[]} [anyOf]
 * @property {(Schema | boolean)[]} [oneOf]
 * @property {Schema | boolean} [items]
 * @property {(Schema | boolean)[]} [prefixItems]
 * @property {Record<string, Schema | boolean>} [properties]
 * @property {string[]} [required]
 * @property {Schema | boolean} [additionalProperties]
 * @property {string} [description]
 * @property {string} [pattern]
 * @property {string} [format]
 * @property {unknown} [default]
 * @property {unknown[]} [examples]
 * @property {number} [minLength]
 * @property {number} [maxLength]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [minItems]
 * @property {number} [maxItems]
 */

/**
 * A schema as a type, the way TypeScript writes it, with its limits as comments.
 * @param {Schema | boolean} schema
 * @param {string} [indent]
 * @returns {string}
 */
export function schemaText(schema, indent = '') {
  if (typeof schema === 'boolean') return schema ? 'any' : 'never'
  if ('const' in schema) return JSON.stringify(schema.const)
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  const choices = schema.anyOf ?? schema.oneOf
  if (choices) return union(choices.map((choice) => schemaText(choice, indent)))
  if (Array.isArray(schema.type))
    return union(schema.type.map((type) => schemaText({ ...schema, type }, indent)))
  if (schema.type === 'array') return arrayText(schema, indent)
  if (schema.type === 'object') return objectText(schema, indent)
  return schema.type ?? 'any'
}

/**
 * What a value may be besides its type: `1 to 200 characters, default 10`.
 * @param {Schema | boolean} schema
 * @returns {string}
 */
export function limitsOf(schema) {
  if (typeof schema === 'boolean') return ''
  const [inner, ...others] = valuesOf(schema)
  const own = inner && others.length === 0 ? { ...inner, ...schema } : schema
  return [
    own.description,
    formOf(own),
    range(own.minLength, own.maxLength, 'characters'),
    range(own.minItems, own.maxItems, 'items'),
    range(own.minimum, own.maximum, ''),
    own.default === undefined ? '' : `default ${JSON.stringify(own.default)}`,
  ]
    .filter(Boolean)
    .join(', ')
}

/** What a value may be if it is not null. @param {Schema} schema @returns {Schema[]} */
export function valuesOf({ anyOf = [] }) {
  return anyOf.filter((choice) => typeof choice === 'object').filter(({ type }) => type !== 'null')
}

/** No NUL: true of nearly every text here, so it says nothing. */
const NO_NUL = String.raw`^[^\u0000]*$`

/** @param {Schema} schema */
function formOf({ pattern, format }) {
  if (pattern === undefined) return format
  if (pattern.startsWith('^[0-9a-f]{8}-')) return 'a UUID'
  return pattern === NO_NUL ? '' : `matches ${pattern}`
}

/** @param {string[]} texts */
function union(texts) {
  return texts.includes('any') ? 'any' : [...new Set(texts)].join(' | ')
}

/** @param {Schema} schema @param {string} indent */
function arrayText({ items = true, prefixItems }, indent) {
  if (prefixItems) return `[${prefixItems.map((item) => schemaText(item, indent)).join(', ')}]`
  const text = schemaText(items, indent)
  return text.includes(' | ') && !text.startsWith('{') ? `(${text})[]` : `${text}[]`
}

/** @param {Schema} schema @param {string} indent */
function objectText({ properties = {}, required = [], additionalProperties }, indent) {
  const deeper = `${indent}  `
  const lines = Object.entries(properties).map(([name, schema]) => {
    const limits = limitsOf(schema)
    const mark = required.includes(name) ? '' : '?'
    return `${deeper}${name}${mark}: ${schemaText(schema, deeper)}${limits ? `  // ${limits}` : ''}`
  })
  if (typeof additionalProperties === 'object') {
    const other = `[name: string]: ${schemaText(additionalProperties, deeper)}`
    if (lines.length === 0) return `{ ${other} }`
    lines.push(`${deeper}${other}`)
  }
  return lines.length === 0 ? '{}' : `{\n${lines.join('\n')}\n${indent}}`
}

/** @param {number | undefined} from @param {number | undefined} to @param {string} unit */
function range(from, to, unit) {
  const least = from === undefined || from <= Number.MIN_SAFE_INTEGER ? undefined : from
  const most = to === undefined || to >= Number.MAX_SAFE_INTEGER ? undefined : to
  if (least === undefined && most === undefined) return ''
  const text =
    least === undefined ? `at most ${most}` : most === undefined ? `at least ${least}` : `${least} to ${most}`
  return `${text} ${unit}`.trim()
}
