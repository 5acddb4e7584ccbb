/** Requests that no client would send: mostly right, and wrong somewhere. All of it follows from one number. */

export type Random = () => number

/** Of an OpenAPI document, as far as requests are made from it. */
export interface OpenApi {
  paths: Record<
    string,
    Record<
      string,
      {
        parameters?: Parameter[]
        requestBody?: { content: Record<string, { schema: Schema }> }
      }
    >
  >
}

interface Parameter {
  name: string
  in: 'path' | 'query'
  schema: Schema
}

/** The JSON Schema that zod writes: everything stands where it is used. */
interface Schema {
  type?: string
  const?: unknown
  enum?: unknown[]
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  items?: Schema
  prefixItems?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: Schema | boolean
  examples?: unknown[]
  minimum?: number
  maximum?: number
}

export interface Operation {
  method: string
  path: string
  parameters: Parameter[]
  /** Of the JSON body. */
  body: Schema | undefined
}

/** One request, byte for byte. */
export interface OddRequest {
  method: string
  path: string
  headers: Record<string, string>
  body: Buffer | undefined
}

/** What there is: a name in a path, a query or a body, and values that mean something there. */
export type Known = Record<string, readonly unknown[]>

export function operationsOf({ paths }: OpenApi): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      parameters,
      body: requestBody?.content['application/json']?.schema,
    })),
  )
}

export function malformed(random: Random, operation: Operation, known: Known): OddRequest {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    // Mostly what is there: a wrong one is refused before anything else is looked at.
    chance(random, 0.8) ? escaped(textMeant(random, name, known)) : oddSegment(random),
  )
  const query = queryOf(random, operation, known)
  const isFile = operation.path.endsWith('/files/{path}') && operation.method === 'PUT'
  const body = isFile
    ? Buffer.from(oddText(random))
    : operation.body === undefined
      ? chance(random, 0.05)
        ? Buffer.from('{"unasked":1}')
        : undefined
      : bodyOf(random, operation, known)
  return {
    method: chance(random, 0.97) ? operation.method : pick(random, METHODS),
    path: query === '' ? path : `${path}?${query}`,
    headers: headersOf(random, body),
    body,
  }
}

/** A message on a WebSocket of event streaming v2: text, or bytes that should have been text. */
export function malformedMessage(random: Random, known: Known, n: number): string | Buffer {
  // What is broken is sent in any case.
  const broken = BROKEN[n]
  if (broken !== undefined) return chance(random, 0.2) ? broken : broken.toString()
  let value = commandOf(random, known)
  for (let times = pick(random, [0, 0, 1, 1, 2, 3]); times > 0; times--) value = changed(random, value, 5)
  return written(random, value)
}

/** The request as a person can repeat it. */
export function asCurl(url: string, { method, path, headers, body }: OddRequest): string {
  const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`
  const options = Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`)
  const data = body === undefined ? '' : ` --data-binary @<(echo ${body.toString('base64')} | base64 -d)`
  return `curl -i --path-as-is -X ${method} ${quoted(url + path)} ${options.join(' ')}${data}`
}

/** The same numbers for the same seed (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)] as T
}

function chance(random: Random, probability: number): boolean {
  return random() < probability
}

function meant(random: Random, name: string, known: Known): unknown {
  const values = known[name]
  return values === undefined ? undefined : pick(random, values)
}

/** A name that nobody has told of yet is a new route's. */
function textMeant(random: Random, name: string, known: Known): string {
  const value = meant(random, name, known)
  return typeof value === 'string' ? value : oddText(random)
}

function queryOf(random: Random, { parameters }: Operation, known: Known): string {
  const parts: string[] = []
  for (const { name, schema } of parameters.filter((parameter) => parameter.in === 'query')) {
    for (let times = chance(random, 0.7) ? 1 : pick(random, [0, 0, 2]); times > 0; times--) {
      const value = chance(random, 0.5)
        ? (meant(random, name, known) ?? sample(random, schema, known))
        : odd(random, 1)
      parts.push(`${name}=${escaped(typeof value === 'string' ? value : JSON.stringify(value))}`)
    }
  }
  if (chance(random, 0.1)) parts.push(pick(random, QUERIES))
  return parts.join('&')
}

function bodyOf(random: Random, operation: Operation, known: Known): Buffer | undefined {
  if (chance(random, 0.04)) return undefined
  if (chance(random, 0.08)) return pick(random, BROKEN)
  let value = operation.path.endsWith('/commands')
    ? commandOf(random, known)
    : sample(random, operation.body ?? {}, known)
  for (let times = pick(random, [0, 0, 1, 1, 2, 3]); times > 0; times--) value = changed(random, value, 5)
  // A string that no text of ours can be: broken off in a character, or in one that stands for nothing.
  const text = Buffer.from(written(random, value))
  const kind = random()
  if (kind < 0.04) return text.subarray(0, Math.floor(text.length * random()))
  if (kind < 0.07) return insert(text, pick(random, NO_UTF8), Math.floor(text.length * random()))
  return text
}

/** Some numbers, and some keys, JSON has and JavaScript has not. */
function written(random: Random, value: unknown): string {
  const text = JSON.stringify(value) ?? 'null'
  if (chance(random, 0.05)) return text.replace(/:-?\d+(?=[,}])/, `:${pick(random, NUMBERS)}`)
  if (chance(random, 0.05)) return text.replace('{', '{"__proto__":{"polluted":true},')
  return text
}

function commandOf(random: Random, known: Known): unknown {
  const params: Record<string, unknown> = {
    assistant_id: meant(random, 'assistant_id', known),
    input: pick(random, [{}, null, { messages: [] }, 'text']),
    interrupt_id: meant(random, 'interrupt_id', known),
    response: pick(random, [{ decisions: [{ type: 'reject' }] }, 'yes', null]),
    responses: [{ interrupt_id: meant(random, 'interrupt_id', known), response: odd(random, 2) }],
    run_id: meant(random, 'run_id', known),
    channels: pick(random, [['values'], ['lifecycle', 'input'], [], 'values']),
    subscription_id: 'none',
    keys: pick(random, [['messages'], [], null]),
    namespace: pick(random, [[], ['step:1'], null]),
    config: pick(random, [{}, { configurable: {} }, { configurable: { checkpoint_id: 'x' } }]),
    multitaskStrategy: pick(random, ['enqueue', 'reject', 'interrupt', 'rollback', 'x']),
    update: odd(random, 2),
    goto: odd(random, 2),
  }
  const given = Object.entries(params).filter(([name]) => name === 'assistant_id' || chance(random, 0.6))
  return { id: Math.floor(random() * 1e6), method: pick(random, COMMANDS), params: Object.fromEntries(given) }
}

/** Something that the schema allows, as often as this can tell. */
function sample(random: Random, schema: Schema, known: Known, name = ''): unknown {
  if (chance(random, 0.6)) {
    const value = meant(random, name, known)
    if (value !== undefined) return schema.type === 'array' && !Array.isArray(value) ? [value] : value
  }
  if (schema.const !== undefined) return schema.const
  if (schema.enum) return pick(random, schema.enum)
  if (schema.examples && chance(random, 0.5)) return pick(random, schema.examples)
  const choices = schema.anyOf ?? schema.oneOf
  if (choices) return sample(random, pick(random, choices), known, name)
  if (schema.allOf) return sample(random, schema.allOf[0] ?? {}, known, name)
  switch (schema.type) {
    case 'object':
      return objectOf(random, schema, known)
    case 'array':
      return (
        schema.prefixItems?.map((item) => sample(random, item, known)) ??
        Array.from({ length: Math.floor(random() * 3) }, () =>
          sample(random, schema.items ?? {}, known, name),
        )
      )
    case 'string':
      return oddText(random)
    case 'integer':
      return pick(random, [schema.minimum ?? 0, Math.min(schema.maximum ?? 10, 10), 1])
    case 'number':
      return pick(random, [1, 0.5, schema.maximum ?? 1e6])
    case 'boolean':
      return chance(random, 0.5)
    case 'null':
      return null
    case undefined:
    default:
      return odd(random, 3)
  }
}

function objectOf(random: Random, { properties, required = [], additionalProperties }: Schema, known: Known) {
  const given = Object.entries(properties ?? {}).filter(
    ([name]) => required.includes(name) || chance(random, 0.35),
  )
  const object = Object.fromEntries(
    given.map(([name, schema]) => [name, sample(random, schema, known, name)]),
  )
  if (properties === undefined && typeof additionalProperties === 'object')
    object[pick(random, KEYS)] = sample(random, additionalProperties, known)
  return object
}

/** The value with something in it that is of another kind, gone, or too much. */
function changed(random: Random, value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth === 0 || chance(random, 0.15))
    return odd(random, 4)
  if (Array.isArray(value)) {
    if (value.length === 0) return [odd(random, 2)]
    const at = Math.floor(random() * value.length)
    return value.map((item, index) => (index === at ? changed(random, item, depth - 1) : (item as unknown)))
  }
  const entries = Object.entries(value)
  if (entries.length === 0 || chance(random, 0.15))
    return Object.fromEntries([...entries, [pick(random, KEYS), odd(random, 3)]])
  const at = Math.floor(random() * entries.length)
  if (chance(random, 0.2)) return Object.fromEntries(entries.toSpliced(at, 1))
  return Object.fromEntries(
    entries.map(([key, item], index) => [
      key,
      index === at ? changed(random, item, depth - 1) : (item as unknown),
    ]),
  )
}

/** Some JSON value that is probably of the wrong type, and odd where it is of the right one. */
function odd(random: Random, depth: number): unknown {
  switch (Math.floor(random() * (depth > 0 ? 9 : 6))) {
    case 0:
      return null
    case 1:
      return chance(random, 0.5)
    case 2:
      return pick(random, [0, -1, 1, 1.5, 1e21, -1e308, 5e-324, 2 ** 53, 2 ** 31, 2 ** 31 - 1, 1e15])
    case 3:
    case 4:
    case 5:
      return oddText(random)
    case 6:
      return Array.from({ length: Math.floor(random() * 4) }, () => odd(random, depth - 1))
    default:
      return Object.fromEntries(
        Array.from({ length: Math.floor(random() * 4) }, () => [
          chance(random, 0.4) ? pick(random, KEYS) : oddText(random),
          odd(random, depth - 1),
        ]),
      )
  }
}

function headersOf(random: Random, body: Buffer | undefined): Record<string, string> {
  const headers: Record<string, string> = {}
  if (body !== undefined || chance(random, 0.2))
    headers['content-type'] = chance(random, 0.85) ? 'application/json' : pick(random, TYPES)
  if (chance(random, 0.02)) delete headers['content-type']
  if (chance(random, 0.2)) headers['last-event-id'] = pick(random, EVENT_IDS)
  for (const [name, value] of [pick(random, HEADERS), pick(random, HEADERS)])
    if (chance(random, 0.2)) headers[name] = value
  return headers
}

/** A part of a path as it may stand in one: what is escaped wrongly stays so. */
function oddSegment(random: Random): string {
  return chance(random, 0.3) ? pick(random, SEGMENTS) : escaped(oddText(random)) || '%20'
}

/** A head that is too long is refused by Node, before there is a request. */
function escaped(text: string): string {
  return encodeURIComponent(text.slice(0, 500).toWellFormed()).replaceAll("'", '%27')
}

function insert(text: Buffer, bytes: Buffer, at: number): Buffer {
  return Buffer.concat([text.subarray(0, at), bytes, text.subarray(at)])
}

function oddText(random: Random): string {
  return pick(random, TEXTS)
}

const TEXTS = [
  '',
  ' ',
  'a',
  '0',
  'null',
  'undefined',
  'true',
  '\u0000',
  'a\u0000b',
  '\ud800',
  '\udfff\ud800',
  '\uffff\u202e🙂',
  'a\nb\r\nc',
  '../../etc/passwd',
  '..%2f..%2f',
  '/',
  '\\',
  '\\u0000',
  '%',
  '%ff',
  '%00',
  "'; drop table runs; --",
  '"',
  '{}',
  '[]',
  '$.a[*]',
  '*',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '__end__',
  '__copy__',
  '__interrupt__',
  '$1',
  '${x}',
  'a.b',
  'a|b:c',
  'x'.repeat(300),
  'x'.repeat(20_000),
  '-1',
  '1e999',
  'NaN',
  'Infinity',
  '9'.repeat(400),
  '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
  '2026-02-30T25:61:61Z',
  '+294276-12-31T00:00:00Z',
  'http://[',
  'http://localhost:1',
  '\r\nx-injected: 1',
]
const SEGMENTS = [
  '%ff',
  '%',
  '%zz',
  '%c0%80',
  '%ed%a0%80',
  '%e2%82',
  '..',
  '.',
  '%2e%2e%2f',
  '%2f',
  '',
  ';a=b',
  '~',
  '+',
  'a//b',
]
const QUERIES = [
  'limit',
  '=',
  '&&',
  '%=%',
  'limit=%ff',
  'a[]=1',
  '__proto__=1',
  'limit=1&limit=2',
  'x='.repeat(500),
  '?',
  '#',
]
const KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  '',
  'resume',
  'update',
  'goto',
  'decisions',
  'messages',
  'configurable',
  'checkpoint_id',
  'checkpoint_ns',
  'thread_id',
  'run_id',
  'owner',
  'assistant_id',
  '$eq',
  '$gt',
  '$contains',
  '__interrupt__',
  '__pregel_resume_map',
  'langgraph_auth_user',
]
const COMMANDS = [
  'run.start',
  'input.respond',
  'state.get',
  'agent.getTree',
  'subscription.subscribe',
  'subscription.unsubscribe',
  'input.inject',
  'state.fork',
  'constructor',
  '__proto__',
]
/** As JSON writes numbers. */
const NUMBERS = [
  '1e400',
  '-0',
  '-1e400',
  '1E+2',
  '0.'.padEnd(400, '1'),
  '9'.repeat(400),
  '9007199254740993',
  '01',
  '.5',
  'NaN',
]
const NO_UTF8 = [
  Buffer.from([0xff]),
  Buffer.from([0xc0, 0x80]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from([0xf4, 0x90, 0x80, 0x80]),
  Buffer.from([0xe2, 0x82]),
  Buffer.from([0x00]),
]
const nested = (open: string, close: string, levels: number) =>
  Buffer.from(open.repeat(levels) + close.repeat(levels))
const BROKEN: readonly Buffer[] = [
  ...[
    '',
    ' ',
    '{',
    '[',
    '"',
    'nul',
    'null',
    '0',
    '"text"',
    '[]',
    '[[]]',
    '{}',
    '{"a":1,}',
    '\ufeff{}',
    '{"a":1}{"b":2}',
    '[1,2',
    '-',
    '1e',
    '"\\u00"',
    '{"a":"\n"}',
    "{'a':1}",
    '{"__proto__":{"polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}}}',
    'a=1&b=2',
    '<xml/>',
  ].map((text) => Buffer.from(text)),
  Buffer.from('{"a":1}', 'utf16le'),
  Buffer.from([0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0]),
  nested('[', ']', 2_000),
  nested('[', ']', 200_000),
  Buffer.from(
    `{"id":1,"method":"run.start","params":{"input":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`,
  ),
  nested('{"a":', '}', 100_000),
  Buffer.from(`{"input":${'['.repeat(490)}${']'.repeat(490)},"assistant_id":"react","metadata":{}}`),
  Buffer.from(`{"metadata":{"a":${'['.repeat(490)}${']'.repeat(490)}}}`),
]
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY']
const TYPES = [
  'text/plain',
  'application/x-www-form-urlencoded',
  'application/json;charset=latin1',
  'application/json; charset="',
  'multipart/form-data',
  'multipart/form-data; boundary=x',
  'application/octet-stream',
  'x/y',
  '*/*',
  '',
  ';',
]
const EVENT_IDS = [
  '-1',
  '-',
  '0',
  '1',
  'x',
  '1e3',
  '9'.repeat(30),
  '-9007199254740993',
  ' ',
  '1.5',
  'NaN',
  '00000000-0000-0000-0000-000000000000:0',
  'ÿ',
]
const HEADERS: readonly (readonly [string, string])[] = [
  ['prefer', 'return=minimal'],
  ['prefer', ';;,='],
  ['x-odd', 'ÿ'.repeat(10)],
  ['x-auth-scheme', 'langsmith'],
  ['x-auth-scheme', 'ÿ'],
  ['x-api-key', 'x'],
  ['x-'.padEnd(200, 'x'), '1'],
  ['cookie', 'a=b; __proto__=1'],
  ['accept', 'x'],
  ['accept', 'text/event-stream'],
  ['accept-encoding', 'gzip, br, x;q=9'],
  ['content-encoding', 'gzip'],
  ['content-encoding', 'x'],
  ['range', 'bytes=9-1'],
  ['if-none-match', '*'],
  ['origin', 'null'],
  ['origin', 'https://evil.example'],
  ['origin', 'ÿ'],
  ['sec-fetch-site', 'cross-site'],
  ['access-control-request-headers', 'a,,ÿ'],
  ['x-forwarded-for', '::'],
  ['x-http-method-override', 'DELETE'],
  ['user-agent', ''],
]
