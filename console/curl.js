// @ts-check
import { valuesOf } from './schema-text.js'

/**
 * @typedef {import('./schema-text.js').Schema} Schema
 *
 * @typedef {object} Parameter
 * @property {string} name
 * @property {'path' | 'query'} in
 * @property {boolean} required
 * @property {Schema} schema
 *
 * @typedef {Record<string, { schema?: Schema }>} Content
 *
 * @typedef {object} Operation
 * @property {string} operationId
 * @property {string} summary
 * @property {string[]} tags
 * @property {Parameter[]} [parameters]
 * @property {{ required?: boolean, content: Content }} [requestBody]
 * @property {Record<string, { description: string, content?: Content }>} responses
 */

/**
 * The command that calls an operation. Ids are shell variables: a reader's own ids in a command that deletes would
 * be a trap.
 * @param {string} origin
 * @param {string} method
 * @param {string} path
 * @param {Operation} operation
 * @param {string} assistant of which the example starts a run
 */
export function curlOf(origin, method, path, operation, assistant) {
  const body = bodyOf(method, operation, assistant)
  const streams = Object.values(operation.responses).some(({ content }) => content?.['text/event-stream'])
  const implied = (method === 'get' && body === null) || (method === 'post' && body !== null)
  const head = [
    'curl',
    streams ? '-N' : '',
    implied ? '' : `-X ${method.toUpperCase()}`,
    `"${origin}${filled(path, assistant)}${queryOf(operation, assistant)}"`,
  ]
  return [head.filter(Boolean).join(' '), ...(body ?? [])].join(' \\\n  ')
}

/** Commands that put an id into a variable. @param {string} origin @param {string} assistant */
export function startingCommands(origin, assistant) {
  const input = JSON.stringify({ assistant_id: assistant, input: INPUT })
  return [
    ['thread_id', `curl -s -X POST "${origin}/threads"`],
    [
      'run_id',
      `curl -s "${origin}/threads/$THREAD_ID/runs" \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(input)}`,
    ],
    ['approval_id', `curl -s "${origin}/approvals?status=pending"`],
  ]
    .map(
      ([key, command]) =>
        `${key?.toUpperCase()}=$(${command} \\\n  | grep -o '"${key}":"[^"]*' | head -1 | cut -d'"' -f4)`,
    )
    .join('\n')
}

const INPUT = { messages: [{ role: 'user', content: 'Which files are there?' }] }

/** @param {string} path @param {string} assistant */
function filled(path, assistant) {
  return path.replaceAll(/\{(\w+)\}/g, (_, /** @type {string} */ name) => {
    if (name === 'path') return 'notes.txt'
    return name === 'assistant_id' ? assistant : `$${name.toUpperCase()}`
  })
}

/** What must be in the query. @param {Operation} operation @param {string} assistant */
function queryOf({ parameters }, assistant) {
  const given = (parameters ?? [])
    .filter((one) => one.in === 'query' && one.required)
    .map(({ name, schema }) => `${name}=${encodeURIComponent(String(exampleOf(schema, assistant, false)))}`)
  return given.length === 0 ? '' : `?${given.join('&')}`
}

/** @param {string} method @param {Operation} operation @param {string} assistant @returns {string[] | null} */
function bodyOf(method, { requestBody }, assistant) {
  const schema = requestBody?.content['application/json']?.schema
  if (schema) {
    const example = JSON.stringify(exampleOf(schema, assistant, method === 'patch'))
    return ["-H 'Content-Type: application/json'", `-d ${quoted(example)}`]
  }
  return method === 'put' ? ["--data-binary 'Hello'"] : null
}

/**
 * A value that the schema takes: what is required, and what makes a run worth starting.
 * @param {Schema | boolean} schema
 * @param {string} assistant
 * @param {boolean} whole with everything that is optional too
 * @returns {unknown}
 */
function exampleOf(schema, assistant, whole) {
  if (typeof schema === 'boolean') return null
  if (schema.examples) return schema.examples[0]
  const [choice] = valuesOf(schema)
  if (choice) return exampleOf(choice, assistant, whole)
  if (schema.enum) return schema.enum[0]
  if (schema.type === 'array')
    return (schema.minItems ?? 0) > 0 ? [exampleOf(schema.items ?? {}, assistant, whole)] : []
  if (schema.type !== 'object') return schema.type === 'integer' ? (schema.minimum ?? 0) : 'text'
  /** @type {Record<string, unknown>} */
  const known = { assistant_id: assistant, graph_id: assistant, input: INPUT, metadata: { topic: 'orders' } }
  const names = Object.keys(schema.properties ?? {}).filter(
    (name) => whole || name === 'input' || schema.required?.includes(name),
  )
  return Object.fromEntries(
    names.map((name) => [name, known[name] ?? exampleOf(schema.properties?.[name] ?? {}, assistant, whole)]),
  )
}

/** @param {string} text */
function quoted(text) {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}
