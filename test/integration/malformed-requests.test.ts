import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemAssistantId } from '../../runtime/assistant.ts'
import { newId } from '../../runtime/ids.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { httpOn } from '../support/stage.ts'

/** Requests on each database. Together with the seed they make a failure happen again. */
const REQUESTS = 800
const SEED = Number(process.env['HOLDPOINT_TEST_SEED'] ?? 20260721)
const AT_A_TIME = 12

interface Operation {
  method: string
  path: string
  parameters: { name: string; in: 'path' | 'query' }[]
  fields: string[]
  hasBody: boolean
}

onEachDatabase((database) => {
  let server: TestServer | undefined
  beforeAll(async () => {
    // Nobody executes the runs: what is tested is the door, and what it writes.
    server = await startTestServer({ ...database.place, env: { HOLDPOINT_WORKERS: '0' } })
  })
  afterAll(async () => {
    await server?.close()
  })

  test('whatever is thrown at any route, the server answers, and never with a fault of its own', async () => {
    if (server === undefined) throw new Error('The server is up from beforeAll on.')
    const http = httpOn(server.url)
    const { thread_id: threadId } = await server.client.threads.create()
    const { run_id: runId } = await server.client.runs.create(threadId, 'react', { input: {} })
    const ids = [threadId, runId, systemAssistantId('react'), newId(), 'react']
    const operations = operationsOf((await http('GET', '/openapi.json')).json<OpenApi>())
    expect(operations.length).toBeGreaterThan(25)

    const random = randomFrom(SEED)
    const statuses = new Map<number, number>()
    const failures: string[] = []
    const reached = new Set<Operation>()
    let left = REQUESTS
    const lane = async (url: string) => {
      while (left-- > 0) {
        const operation = operations[left % operations.length] ?? pick(random, operations)
        const request = malformed(random, operation, ids)
        const { status, text } = await send(url, request)
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        reached.add(operation)
        // 503 is what an overloaded server says, and nothing is wrong with it on a machine that is.
        if (status >= 500 && status !== 503) failures.push(`${status} ${text} for ${JSON.stringify(request)}`)
      }
    }
    const { url } = server
    await Promise.all(Array.from({ length: AT_A_TIME }, () => lane(url)))

    expect(failures, `seed ${SEED}`).toEqual([])
    expect(server.logLines.filter((line) => line.includes('"level":"error"'))).toEqual([])
    expect(reached.size).toBe(operations.length)
    // Most of it was refused, and some of it was taken: the requests were neither all wild nor all tame.
    const count = (from: number, to: number) =>
      [...statuses].reduce((sum, [status, n]) => (status >= from && status < to ? sum + n : sum), 0)
    expect(count(400, 500)).toBeGreaterThan(REQUESTS / 4)
    expect(count(200, 300)).toBeGreaterThan(REQUESTS / 50)
    expect((await http('GET', '/ok?check_db=1')).json()).toEqual({ ok: true })
    expect(await http('GET', `/threads/${(await server.client.threads.create()).thread_id}`)).toMatchObject({
      status: 200,
    })
  }, 120_000)
})

interface OpenApi {
  paths: Record<
    string,
    Record<
      string,
      {
        parameters?: Operation['parameters']
        requestBody?: { content: Record<string, { schema: { properties?: object } }> }
      }
    >
  >
}

function operationsOf({ paths }: OpenApi): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      parameters,
      fields: Object.keys(requestBody?.content['application/json']?.schema.properties ?? {}),
      hasBody: requestBody !== undefined || method === 'put',
    })),
  )
}

interface Request {
  method: string
  path: string
  headers: Record<string, string>
  body?: string
}

type Random = () => number

function malformed(random: Random, operation: Operation, ids: string[]): Request {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    // Mostly an id that exists: a wrong one is refused before anything else is looked at.
    random() < 0.75
      ? (ids[name === 'run_id' ? 1 : name === 'assistant_id' ? 2 : 0] ?? '')
      : random() < 0.3
        ? pick(random, ids)
        : encodeURIComponent(oddText(random).toWellFormed()).replaceAll('.', '%2E') || '%20',
  )
  const query = new URLSearchParams()
  for (const { name } of operation.parameters.filter((parameter) => parameter.in === 'query'))
    if (random() < 0.5) query.append(name, random() < 0.4 ? pick(random, QUERY) : oddText(random))
  if (random() < 0.1) query.append(oddText(random), oddText(random))
  const body = operation.hasBody && random() < 0.95 ? bodyOf(random, operation, ids) : undefined
  return {
    method: operation.method,
    path: query.size === 0 ? path : `${path}?${query.toString()}`,
    headers: {
      ...(random() < 0.8 ? { 'content-type': 'application/json' } : { 'content-type': pick(random, TYPES) }),
      ...(random() < 0.2
        ? { 'last-event-id': pick(random, ['-1', '0', 'x', '1e3', '9'.repeat(30), '-']) }
        : {}),
      ...(random() < 0.1 ? { prefer: 'return=minimal', 'x-odd': 'ÿ'.repeat(10) } : {}),
    },
    ...(body === undefined ? {} : { body }),
  }
}

function bodyOf(random: Random, { fields }: Operation, ids: string[]): string {
  if (random() < 0.1) return pick(random, BROKEN)
  const tame: Record<string, unknown> = {
    assistant_id: 'react',
    type: pick(random, ['approve', 'edit', 'reject', 'respond']),
    thread_id: pick(random, ids),
    checkpoint: { checkpoint_id: pick(random, ids) },
  }
  const entries = fields
    .filter((field) => random() < 0.5 || field in tame)
    .map((field) => [field, field in tame && random() < 0.7 ? tame[field] : odd(random, 3)] as const)
  const value: unknown = random() < 0.1 ? odd(random, 4) : Object.fromEntries(entries)
  const text = JSON.stringify(value) ?? 'null'
  // Cut somewhere, as a proxy might.
  return random() < 0.05 ? text.slice(0, Math.floor(text.length * random())) : text
}

/** Some JSON value that is probably of the wrong type, and odd where it is of the right one. */
function odd(random: Random, depth: number): unknown {
  const kind = Math.floor(random() * (depth > 0 ? 9 : 6))
  switch (kind) {
    case 0:
      return null
    case 1:
      return random() < 0.5
    case 2:
      return pick(random, [0, -1, 1, 1.5, 1e21, -1e308, 5e-324, 2 ** 53, 2 ** 31])
    case 3:
    case 4:
    case 5:
      return oddText(random)
    case 6:
      return Array.from({ length: Math.floor(random() * 4) }, () => odd(random, depth - 1))
    default:
      return Object.fromEntries(
        Array.from({ length: Math.floor(random() * 4) }, () => [
          random() < 0.4 ? pick(random, KEYS) : oddText(random),
          odd(random, depth - 1),
        ]),
      )
  }
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
  '../../etc/passwd',
  '..%2f..%2f',
  '/',
  '\\',
  '%',
  '%ff',
  '%00',
  "'; drop table runs; --",
  '"',
  '{}',
  '[]',
  '__proto__',
  'constructor',
  'toString',
  '$1',
  '${x}',
  'x'.repeat(300),
  'x'.repeat(20_000),
  '-1',
  '1e999',
  'NaN',
  '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
  '2026-02-30T25:61:61Z',
  '\r\nx-injected: 1',
]
const QUERY = ['0', '1', '-1', '10', 'true', 'false', 'asc', 'pending', '1000', '1000000', '1001', 'x']
const KEYS = [
  '__proto__',
  'constructor',
  'resume',
  'update',
  'goto',
  'decisions',
  'messages',
  'configurable',
  'checkpoint_id',
  'checkpoint_ns',
  'thread_id',
  '__pregel_resume_map',
]
const BROKEN = [
  '',
  '{',
  '[',
  '"',
  'nul',
  '{"a":1,}',
  '\ufeff{}',
  '{"a":1}{"b":2}',
  '[1,2',
  '-',
  '1e',
  '"\\u00"',
  `${'['.repeat(2_000)}${']'.repeat(2_000)}`,
  '{"__proto__":{"polluted":true}}',
]
const TYPES = [
  'text/plain',
  'application/x-www-form-urlencoded',
  'application/json;charset=latin1',
  'x/y',
  '*/*',
]

/** Streams and waiting answers are left when their status is there. */
async function send(url: string, { method, path, headers, body }: Request) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers,
    ...(body === undefined || method === 'GET' ? {} : { body }),
    redirect: 'manual',
  })
  if (response.status >= 400) return { status: response.status, text: await response.text() }
  await response.body?.cancel()
  return { status: response.status, text: '' }
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)] as T
}

/** The same numbers for the same seed (mulberry32). */
function randomFrom(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
