import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { systemAssistantId } from '../../runtime/assistant.ts'
import { newId } from '../../runtime/ids.ts'
import { type EachDatabase, onEachDatabase } from '../support/each-database.ts'
import {
  asCurl,
  type Known,
  malformed,
  malformedMessage,
  type OddRequest,
  type OpenApi,
  type Operation,
  operationsOf,
  pick,
  randomFrom,
} from '../support/malformed.ts'
import { startScriptedModel } from '../support/scripted-model.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { holdsOn, httpOn, mailTo, says, WAIT } from '../support/stage.ts'

/** Requests to each server. The nth of them follows from the seed and n alone, but for the ids of what there is. */
const REQUESTS = Number(process.env['HOLDPOINT_TEST_REQUESTS'] ?? 2_000)
const SEED = Number(process.env['HOLDPOINT_TEST_SEED'] ?? 20260721)
const MESSAGES = 200
const AT_A_TIME = 12
/** Of an answer's head. The slowest of all waits two seconds for an approval that is never there. */
const ANSWER_MS = 20_000

const GUARDED = new URL('../support/guarded/langgraph.json', import.meta.url).pathname

/** Runs, many, are taken and never carried out: what is tested is the door, and what it writes. */
const IDLE = {
  HOLDPOINT_WORKERS: '0',
  HOLDPOINT_MAX_QUEUE: '1000000',
  HOLDPOINT_MAX_STREAMS: '100000',
  HOLDPOINT_WRONG_KEYS: '0',
}

interface Door {
  name: string
  env: Record<string, string>
  graph: string
  /** What a request without a fault says of its sender. */
  authorization: string[]
  errors: 'text' | 'json'
}

const DOORS: Door[] = [
  { name: 'open to all', env: {}, graph: 'react', authorization: [], errors: 'text' },
  {
    name: 'with authentication',
    env: { HOLDPOINT_CONFIG: GUARDED, HOLDPOINT_ERRORS: 'json' },
    graph: 'asks',
    authorization: ['alice', 'alice', 'alice', 'alice', 'admin', 'bob', 'reader'].map(
      (name) => `Bearer ${name}`,
    ),
    errors: 'json',
  },
]

onEachDatabase((database) => {
  describe.each(DOORS)('a server $name', (door) => {
    let server: TestServer | undefined
    let paused: Paused | undefined
    beforeAll(async () => {
      paused = await pauseRuns(database, door)
      server = await startTestServer({ ...database.place, env: { ...door.env, ...IDLE } })
    })
    afterAll(async () => {
      await server?.close()
    })
    const up = () => {
      if (server === undefined || paused === undefined) throw new Error('The server is up from beforeAll on.')
      return { server, paused }
    }

    test('answers whatever is thrown at any route, and never with a fault of its own', async () => {
      const {
        server: { url, logLines },
        paused: there,
      } = up()
      const agent = new Agent({ keepAlive: true, maxSockets: AT_A_TIME })
      const operations = operationsOf((await httpOn(url)('GET', '/openapi.json')).json<OpenApi>())
      const known = new Map<Operation, Known>()
      for (const operation of operations) known.set(operation, await knownTo(url, door, operation, there))

      const statuses = new Map<number, number>()
      const answered = new Map<Operation, Set<string>>()
      const failures: string[] = []
      let next = 0
      const lane = async () => {
        for (let n = next++; n < REQUESTS; n = next++) {
          const random = randomFrom(SEED + n * 7_919)
          const operation = operations[n % operations.length] as Operation
          const sent = malformed(random, operation, known.get(operation) ?? {})
          if (door.authorization.length > 0 && random() < 0.95) {
            const whose = random() < 0.9 ? door.authorization : ODD_AUTHORIZATION
            sent.headers['authorization'] = pick(random, whose)
          }
          const { status, problem } = await answerTo(url, agent, sent, door.errors)
          if (problem !== undefined) failures.push(`${problem}\n  request ${n}: ${asCurl(url, sent)}`)
          statuses.set(status, (statuses.get(status) ?? 0) + 1)
          const classes = answered.get(operation) ?? new Set()
          answered.set(operation, classes.add(`${Math.floor(status / 100)}xx`))
        }
      }
      await Promise.all(Array.from({ length: AT_A_TIME }, lane))
      agent.destroy()

      expect(failures.slice(0, 20), `${failures.length} failures, seed ${SEED}`).toEqual([])
      expect(logLines.filter((line) => line.includes('"level":"error"'))).toEqual([])
      // Every route was found, and most let something through: the requests were neither all wild nor all tame.
      expect(answered.size).toBe(operations.length)
      const refused = operations.filter((operation) => !answered.get(operation)?.has('2xx'))
      expect(refused.length / operations.length, refused.map(({ path }) => path).join()).toBeLessThan(0.25)
      const count = (from: number, to: number) =>
        [...statuses].reduce((sum, [status, n]) => (status >= from && status < to ? sum + n : sum), 0)
      expect(count(400, 500)).toBeGreaterThan(REQUESTS / 4)
      expect(count(200, 300)).toBeGreaterThan(REQUESTS / 20)
      expect({}).not.toHaveProperty('polluted')
      await expectServing(url, door)
    }, 180_000)

    test('answers whatever is said on a WebSocket, each with its number, and stays', async () => {
      const {
        server: { url, logLines },
        paused: there,
      } = up()
      const place = there.threads[2]
      if (place === undefined) throw new Error('Three threads were made.')
      const known = {
        assistant_id: [door.graph],
        run_id: [place.runId],
        interrupt_id: [place.interruptId],
      }
      const socket = new WebSocket(`${url.replace('http', 'ws')}/threads/${place.threadId}/stream/events`, {
        headers: asOwner(door),
      })
      const answers: { type: string; id: number | null; message?: string }[] = []
      let closed: string | undefined
      socket.on('message', (data) => {
        const told = JSON.parse((data as Buffer).toString()) as (typeof answers)[number]
        if (told.type !== 'event') answers.push(told)
      })
      socket.on('close', (code, reason) => (closed = `${code} ${reason.toString()}`))
      await once(socket, 'open')
      for (let n = 0; n < MESSAGES; n++) {
        const message = malformedMessage(randomFrom(SEED + n * 7_919), known, n)
        socket.send(message)
        const said = `message ${n}: ${message.toString().slice(0, 2_000)}`
        await vi.waitFor(
          () => {
            if (closed === undefined) expect(answers.length, said).toBe(n + 1)
          },
          { ...WAIT, interval: 2 },
        )
        expect(closed, said).toBeUndefined()
        const answer = answers[n]
        expect(['success', 'error'], said).toContain(answer?.type)
        if (answer?.type === 'error') expect(answer.message, said).toMatch(/^\S(?!.*Internal error)/)
        const id = idOf(message)
        if (answer?.id !== null) expect(answer?.id === id, said).toBe(true)
      }
      expect(answers.some(({ type }) => type === 'success')).toBe(true)
      socket.close()
      expect(logLines.filter((line) => line.includes('"level":"error"'))).toEqual([])
      await expectServing(url, door)
    }, 60_000)

    test('outlives connections that speak no HTTP, or break off', async () => {
      const {
        server: { url, logLines },
      } = up()
      const { hostname, port, host } = new URL(url)
      const head = (line: string, ...more: string[]) =>
        [line, `host: ${host}`, 'content-type: application/json', ...more, '', ''].join('\r\n')
      const told = new Map<string, string>()
      for (const [what, text] of [
        ['no request', '\u0000\u0001\u0002\r\n\r\n'],
        ['NUL in a header', head('POST /threads HTTP/1.1', 'x-odd: a\u0000b', 'content-length: 0')],
        ['NUL in the path', head('GET /thr\u0000eads HTTP/1.1')],
        ['a path that is no path', head('GET nowhere HTTP/1.1')],
        ['a whole URL that is none', head('GET http://[ HTTP/1.1')],
        ['a host that is none', 'GET /ok HTTP/1.1\r\nhost: [\r\n\r\n'],
        ['an expectation that nobody has', head('GET /ok HTTP/1.1', 'expect: x')],
        ['no host', 'GET /ok HTTP/1.1\r\n\r\n'],
        ['two lengths', head('POST /threads HTTP/1.1', 'content-length: 2', 'content-length: 3') + '{}'],
        ['a length that is none', head('POST /threads HTTP/1.1', 'content-length: -1') + '{}'],
        ['chunks that are none', head('POST /threads HTTP/1.1', 'transfer-encoding: chunked') + 'zz\r\n{}'],
        ['a header without an end', head('GET /ok HTTP/1.1', `x-long: ${'x'.repeat(100_000)}`)],
        ['a body that breaks off', head('POST /threads HTTP/1.1', 'content-length: 100') + '{"meta'],
        [
          'a chunk that breaks off',
          head('POST /threads/search HTTP/1.1', 'transfer-encoding: chunked') + '9\r\n{"a',
        ],
        [
          'a WebSocket without a key',
          head('GET /threads/x/stream/events HTTP/1.1', 'connection: upgrade', 'upgrade: websocket'),
        ],
      ] as const)
        told.set(what, await spoken({ hostname, port: Number(port) }, text))
      const h2c = head('GET /ok HTTP/1.1', 'connection: Upgrade, HTTP2-Settings', 'upgrade: h2c')
      expect(await spoken({ hostname, port: Number(port) }, h2c)).toMatch(/^HTTP\/1.1 200 /)
      // What is none of HTTP is refused below us; either way nobody is told of a fault.
      for (const [what, answer] of told)
        expect([what, answer]).toEqual([what, expect.not.stringMatching(/^HTTP\/1.1 5/)])
      await expectServing(url, door)
      expect(logLines.filter((line) => line.includes('"level":"error"'))).toEqual([])
    })
  })
})

interface Paused {
  /** Of a run each, which waits for a person. */
  threads: {
    threadId: string
    runId: string
    interruptId: string
    checkpointId: string
    approvalId: string
  }[]
}

/** Threads with states, events and a question that waits: one to read, one to decide and one to command. */
async function pauseRuns(database: EachDatabase, door: Door): Promise<Paused> {
  const model = await startScriptedModel(
    door.graph === 'react' ? [1, 2, 3].map(() => ({ toolCalls: [mailTo(newId())] })) : [],
  )
  const server = await startTestServer({ ...database.place, modelUrl: model.url, env: door.env })
  const http = httpOn(server.url)
  const headers = asOwner(door)
  try {
    const threads: Paused['threads'] = []
    for (let n = 0; n < 3; n++) {
      const threadId = newId()
      const body = { assistant_id: door.graph, input: says('Mail it.'), if_not_exists: 'create' }
      await http('POST', `/threads/${threadId}/runs/wait`, body, headers)
      const thread = (await http('GET', `/threads/${threadId}`, undefined, headers)).json<{
        interrupts: Record<string, { id: string }[]>
      }>()
      const runs = (await http('GET', `/threads/${threadId}/runs`, undefined, headers)).json<
        { run_id: string }[]
      >()
      const state = (await http('GET', `/threads/${threadId}/state`, undefined, headers)).json<{
        checkpoint_id: string
      }>()
      const approvals = door.graph === 'react' ? await holdsOn(server.url, threadId) : []
      const interruptId = Object.values(thread.interrupts).flat()[0]?.id
      if (runs[0] === undefined || interruptId === undefined) throw new Error('The run did not pause.')
      threads.push({
        threadId,
        runId: runs[0].run_id,
        interruptId,
        checkpointId: state.checkpoint_id,
        approvalId: approvals[0]?.approval_id ?? newId(),
      })
    }
    return { threads }
  } finally {
    await server.close()
    await model.close()
  }
}

/** What the operation's requests mean where they are right: reads share things, changes have each their own. */
async function knownTo(url: string, door: Door, operation: Operation, { threads }: Paused): Promise<Known> {
  const headers = asOwner(door)
  const http = httpOn(url)
  const place =
    threads[operation.path.endsWith('/commands') ? 2 : operation.path.startsWith('/approvals') ? 1 : 0]
  if (place === undefined) throw new Error('Three threads were made.')
  let { threadId, runId } = place
  const reads = operation.method === 'GET' || operation.path.endsWith('/commands')
  if (!reads) {
    const copied = await http('POST', `/threads/${threadId}/copy`, undefined, headers)
    threadId = copied.json<{ thread_id: string }>().thread_id
    if (operation.path.includes('run_id') || operation.path === '/runs/cancel') {
      const body = { assistant_id: door.graph, input: {} }
      const run = await http('POST', `/threads/${threadId}/runs`, body, headers)
      runId = run.json<{ run_id: string }>().run_id
    }
  }
  const graphId = door.graph
  const assistant = await http('POST', '/assistants', { graph_id: graphId }, headers)
  const { assistant_id: assistantId } = assistant.json<{ assistant_id: string }>()
  await http('PUT', `/threads/${threadId}/files/a`, 'x', headers)
  const item = { namespace: [newId(), 'b'], key: 'k', value: { a: 1 } }
  await http('PUT', '/store/items', item, headers)
  const schedule = '0 5 * * *'
  const cron = await http('POST', '/runs/crons', { assistant_id: graphId, schedule }, headers)
  return {
    thread_id: [threadId],
    cron_id: [cron.json<{ cron_id: string }>().cron_id],
    schedule: [schedule, '*/5 * * * *', '0 0 30 2 *'],
    timezone: ['Europe/Berlin', 'Nowhere/None'],
    end_time: ['2030-01-01T00:00:00Z', '+294276-12-31T00:00:00Z'],
    thread_ids: [[threadId]],
    ids: [[threadId]],
    run_id: [runId],
    run_ids: [[runId]],
    assistant_id: [assistantId, assistantId, graphId, systemAssistantId(graphId)],
    graph_id: [graphId],
    approval_id: [place.approvalId],
    checkpoint_id: [place.checkpointId],
    checkpoint: [{ checkpoint_id: place.checkpointId }, { checkpoint_ns: '' }],
    before: [place.checkpointId],
    interrupt_id: [place.interruptId],
    path: ['a', 'b/c', '..%2fa'],
    key: ['k'],
    // One that both a query and a body take.
    namespace: operation.method === 'GET' ? [item.namespace.join('.')] : [item.namespace],
    namespace_prefix: [item.namespace.slice(0, 1)],
    version: [1],
    limit: [1, 10],
    as_node: ['__end__', '__copy__', '__start__', 'asks', 'agent'],
    command: [{ resume: 'yes' }, { goto: '__end__' }, { update: {} }],
    channels: [['lifecycle', 'values', 'input']],
    webhook: [undefined],
  }
}

function asOwner({ authorization: [first] }: Door): Record<string, string> {
  return first === undefined ? {} : { authorization: first }
}

/** The project's own handler takes any word for a name. */
const ODD_AUTHORIZATION = [
  '',
  'Bearer',
  'Bearer ',
  'Bearer __proto__',
  'Bearer constructor',
  `Bearer ${'x'.repeat(8_000)}`,
  'Basic !!!',
  'bearer alice',
  'Bearer ÿ',
  'Bearer alice, Bearer bob',
]

/** The status, and what is wrong with the answer. Streams and waiting answers are left when their status is there. */
async function answerTo(url: string, agent: Agent, sent: OddRequest, errors: Door['errors']) {
  const answer = async () => {
    const got = await send(url, agent, sent)
    // What an overloaded server says, as it may on a machine that is: it has to take the request later.
    if (got.status === 503) throw new Error(`503: ${got.text}`)
    return got
  }
  try {
    const got = await vi.waitFor(answer, { timeout: 30_000, interval: 100 })
    return { status: got.status, problem: problemOf(got, sent, errors) }
  } catch (error) {
    return { status: 0, problem: String(error) }
  }
}

interface Got {
  status: number
  type: string
  text: string
}

function problemOf(
  { status, type, text }: Got,
  { method, path }: OddRequest,
  errors: Door['errors'],
): string | undefined {
  if (status >= 500) return `${status} ${text}`
  // An answer to HEAD has no body, and the door of other origins answers OPTIONS.
  if (status < 400 || method === 'HEAD') return undefined
  if (/node_modules|\n\s+at |\.ts:\d|Internal error/.test(text))
    return `${status} tells of our inside: ${text}`
  // What a person opens answers with a page.
  if (status === 410 && path.startsWith('/webhooks/approvals/') && type.startsWith('text/html'))
    return text.includes('Nothing was changed')
      ? undefined
      : `${status} does not say what became of it: ${text}`
  if (errors === 'json') {
    const isDetail = type.startsWith('application/json') && /^\{"detail":"[^"]/.test(text)
    return isDetail ? undefined : `${status} is no {"detail": …}: ${type} ${text}`
  }
  const isLine = type.startsWith('text/plain') && /^[^\r\n]*\S[^\r\n]*$/.test(text)
  return isLine ? undefined : `${status} is no line of text: ${type} ${text}`
}

function send(url: string, agent: Agent, { method, path, headers, body }: OddRequest): Promise<Got> {
  const { hostname, port } = new URL(url)
  return new Promise((done, fail) => {
    const length = body === undefined ? {} : { 'content-length': String(body.length) }
    const options = {
      hostname,
      port,
      agent,
      method,
      path,
      headers: { ...headers, ...length },
      timeout: ANSWER_MS,
    }
    const asked = httpRequest(options, (response) => {
      const status = response.statusCode ?? 0
      const type = response.headers['content-type'] ?? ''
      const chunks: Buffer[] = []
      const end = () => done({ status, type, text: Buffer.concat(chunks).toString() })
      if (status < 400 && method !== 'HEAD') {
        end()
        response.destroy()
        return
      }
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', end)
      response.on('error', fail)
    })
    asked.on('timeout', () => asked.destroy(new Error(`No answer within ${ANSWER_MS} ms.`)))
    asked.on('error', fail)
    asked.end(body)
  })
}

/** What comes back for these bytes until the other side closes, or has nothing more to say. */
function spoken(to: { hostname: string; port: number }, bytes: string): Promise<string> {
  return new Promise((done) => {
    const socket = new Socket()
    let text = ''
    const end = () => {
      socket.destroy()
      done(text)
    }
    socket.on('data', (chunk) => {
      text += chunk.toString()
      if (text.includes('\r\n\r\n')) end()
    })
    socket.on('error', end)
    socket.on('close', () => done(text))
    socket.connect(to.port, to.hostname, () => socket.end(bytes, 'latin1'))
  })
}

function idOf(message: string | Buffer): unknown {
  try {
    return (JSON.parse(message.toString()) as { id?: unknown }).id
  } catch {
    return undefined
  }
}

async function expectServing(url: string, door: Door): Promise<void> {
  const http = httpOn(url)
  await vi.waitFor(
    async () => expect((await http('GET', '/ok?check_db=1')).json()).toEqual({ ok: true }),
    WAIT,
  )
  const made = await http('POST', '/threads', { metadata: { after: 'all' } }, asOwner(door))
  const { thread_id: threadId } = made.json<{ thread_id: string }>()
  const read = await http('GET', `/threads/${threadId}`, undefined, asOwner(door))
  expect(read.json()).toMatchObject({ thread_id: threadId, metadata: { after: 'all' } })
}
