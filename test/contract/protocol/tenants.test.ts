import { createHash } from 'node:crypto'
import { Client } from '@langchain/langgraph-sdk'
import { beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { newId } from '../../../runtime/ids.ts'
import { type EachDatabase, onEachDatabase } from '../../support/each-database.ts'
import { type Keyed, makeKeys } from '../../support/keys.ts'
import { type Known, malformed, type OpenApi, operationsOf, randomFrom } from '../../support/malformed.ts'
import { type Answer, mailTo, says, untilThread, useStage } from '../../support/stage.ts'

const REQUESTS = 1_500
const SEED = 20_260_815
/** In all that acme has, and in nothing else. */
const SECRET = 'acme-only'
const LARGE = `${SECRET} `.repeat(200)

const PEOPLE = {
  ann: { roles: ['senior', 'admin'], tenant: 'acme' },
  gus: { roles: ['senior', 'admin'], tenant: 'globex' },
  dan: { roles: ['senior', 'admin'] },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

/** What a request needs to be whole, and to fail for nothing but its id. */
const BODIES: Record<string, unknown> = {
  'PATCH /threads/{thread_id}': { metadata: { mine: true } },
  'PATCH /assistants/{assistant_id}': { name: 'mine' },
  'POST /assistants/{assistant_id}/latest': { version: 1 },
  'POST /assistants/{assistant_id}/versions': {},
  'PATCH /runs/crons/{cron_id}': { enabled: false },
  'PATCH /threads/{thread_id}/state': { metadata: { mine: true } },
  'POST /threads/{thread_id}/state': { values: { messages: [] } },
  'POST /threads/{thread_id}/state/checkpoint': { checkpoint: {} },
  'POST /threads/{thread_id}/history': {},
  'POST /threads/{thread_id}/runs/crons': { assistant_id: 'react', schedule: '0 0 1 1 *' },
  'POST /threads/{thread_id}/stream/events': { channels: ['values'] },
  'POST /approvals/{approval_id}/decisions': { type: 'approve' },
  'POST /approvals/{approval_id}/comments': { text: 'mine' },
  'POST /approvals/{approval_id}/links': { principal: 'gus' },
  'PUT /threads/{thread_id}/files/{path}': {},
}

onEachDatabase((database: EachDatabase) => {
  let keys: Record<Name, string> | undefined
  beforeAll(async () => {
    keys = await makeKeys(database.place, PEOPLE)
  })
  const stage = useStage(database, { HOLDPOINT_TEST_MODE: '1' })
  const keyOf = (name: Name) => keys?.[name] ?? ''
  const as = (name: Name, method: string, path: string, body?: unknown): Promise<Answer> =>
    stage.http(method, path, body, { 'x-api-key': keyOf(name) })
  const client = (name: Name) =>
    new Client({ apiUrl: stage.url, apiKey: keyOf(name), callerOptions: { maxRetries: 0 } })

  interface Theirs {
    thread_id: string
    run_id: string
    assistant_id: string
    approval_id: string
    cron_id: string
    checkpoint_id: string
    interrupt_id: string
    sha256: string
  }

  /** One of each thing that there is, of acme's. */
  async function things(): Promise<Theirs> {
    const ann = client('ann')
    const assistant = await ann.assistants.create({
      graphId: 'react',
      name: SECRET,
      metadata: { what: SECRET },
    })
    const { thread_id } = await ann.threads.create({ metadata: { what: SECRET } })
    stage.play({ toolCalls: [mailTo(SECRET)] })
    await ann.runs.wait(thread_id, assistant.assistant_id, { input: says(LARGE) })
    await untilThread(ann, thread_id, 'interrupted')
    await as('ann', 'PUT', `/threads/${thread_id}/files/${SECRET}.txt`, SECRET)
    await as('ann', 'PUT', '/store/items', {
      namespace: [SECRET, 'notes'],
      key: SECRET,
      value: { what: SECRET },
    })
    const cron = await as('ann', 'POST', `/threads/${thread_id}/runs/crons`, {
      assistant_id: 'react',
      schedule: '0 0 1 1 *',
      metadata: { what: SECRET },
    })
    const [run] = await ann.runs.list(thread_id)
    const [hold] = (await as('ann', 'GET', `/approvals?thread_id=${thread_id}`)).json<
      { approval_id: string }[]
    >()
    const thread = await ann.threads.get(thread_id)
    const state = await ann.threads.getState(thread_id)
    return {
      thread_id,
      run_id: run?.run_id ?? '',
      assistant_id: assistant.assistant_id,
      approval_id: hold?.approval_id ?? '',
      cron_id: cron.json<{ cron_id: string }>().cron_id,
      checkpoint_id: state.checkpoint.checkpoint_id ?? '',
      interrupt_id: Object.values(thread.interrupts).flat()[0]?.id ?? '',
      sha256: createHash('sha256').update(LARGE).digest('hex'),
    }
  }

  async function allOf(theirs: Theirs): Promise<string[]> {
    const { thread_id: id } = theirs
    const read = [
      ['GET', `/threads/${id}`],
      ['GET', `/threads/${id}/state`],
      ['POST', `/threads/${id}/history`, {}],
      ['GET', `/threads/${id}/runs`],
      ['GET', `/threads/${id}/artifacts/${theirs.sha256}`],
      ['GET', `/threads/${id}/files/${SECRET}.txt`],
      ['GET', `/approvals/${theirs.approval_id}`],
      ['GET', `/assistants/${theirs.assistant_id}`],
      ['POST', '/runs/crons/search', {}],
      ['POST', '/store/items/search', { namespace_prefix: [] }],
    ] as const
    const answers = await Promise.all(read.map(([method, path, body]) => as('ann', method, path, body)))
    expect(answers.map(({ status }) => status)).toEqual(read.map(() => 200))
    return answers.map(({ text }) => text)
  }

  const operations = async () => operationsOf((await stage.http('GET', '/openapi.json')).json<OpenApi>())

  test('of what another tenant has nothing is there, on any route', async () => {
    const theirs = await things()
    const before = await allOf(theirs)
    const named = Object.entries(theirs)
    const others: string[] = []
    let walked = 0
    for (const { method, path, body } of await operations()) {
      if (!named.some(([name]) => path.includes(`{${name}}`))) continue
      // Whatever else is in the path is theirs, too.
      const theirPath = [...named, ['path', `${SECRET}.txt`], ['namespace', 'agent']].reduce(
        (text, [name, value]) => text.replace(`{${name}}`, value ?? ''),
        path,
      )
      const sent =
        BODIES[`${method} ${path}`] ?? (body === undefined ? undefined : { assistant_id: 'react', input: {} })
      for (const name of ['gus', 'dan'] as const) {
        const answer = await as(name, method, theirPath, sent)
        const told = `${name}: ${method} ${path}: ${answer.status} ${answer.text.slice(0, 200)}`
        expect(answer.text, told).not.toContain(SECRET)
        if (answer.status !== (path.endsWith('/commands') ? 400 : 404)) others.push(told)
      }
      walked += 1
    }
    expect(others).toEqual([])
    expect(walked).toBeGreaterThan(40)
    expect(await allOf(theirs)).toEqual(before)
  })

  test('commands and streams of event streaming v2 are as closed', async () => {
    const theirs = await things()
    const before = await allOf(theirs)
    for (const command of [
      { method: 'state.get', params: {} },
      { method: 'agent.getTree', params: {} },
      { method: 'run.start', params: { assistant_id: 'react', input: says('mine') } },
      { method: 'run.start', params: { assistant_id: theirs.assistant_id, input: says('mine') } },
      {
        method: 'input.respond',
        params: { interrupt_id: theirs.interrupt_id, response: { decisions: [{ type: 'approve' }] } },
      },
    ]) {
      const answer = await as('gus', 'POST', `/threads/${theirs.thread_id}/commands`, { id: 1, ...command })
      const told = `${command.method}: ${answer.status} ${answer.text}`
      expect(answer.text, told).not.toContain(SECRET)
      expect(answer.status === 404 || answer.json<{ type: string }>().type === 'error', told).toBe(true)
    }
    const opened = await new Promise<boolean>((done) => {
      const address = `${stage.url.replace('http', 'ws')}/threads/${theirs.thread_id}/stream/events`
      const socket = new WebSocket(address, { headers: { 'x-api-key': keyOf('gus') } })
      socket.on('open', () => done(true))
      socket.on('error', () => done(false))
    })
    expect(opened).toBe(false)
    expect(await allOf(theirs)).toEqual(before)
  })

  test('searches, counts and lists find nothing of it, whatever they ask for', async () => {
    const theirs = await things()
    const { thread_id } = theirs
    const what = { what: SECRET }
    const asked = [
      ['POST', '/threads/search', { metadata: what }],
      ['POST', '/threads/search', { ids: [thread_id] }],
      ['POST', '/threads/search', { metadata: { $tenant: 'acme' } }],
      ['POST', '/assistants/search', { metadata: what }],
      ['POST', '/assistants/search', { name: SECRET }],
      ['POST', '/runs/crons/search', { metadata: what }],
      ['POST', '/runs/crons/search', { thread_id }],
      ['GET', `/approvals?thread_id=${thread_id}`],
      ['GET', `/audit?thread_id=${thread_id}`],
      ['GET', '/audit?limit=1000'],
      ['POST', '/store/items/search', { namespace_prefix: [SECRET] }],
      ['POST', '/store/items/search', { namespace_prefix: [] }],
      ['POST', '/store/namespaces', {}],
      ['GET', `/store/items?namespace=${SECRET}.notes&key=${SECRET}`],
    ] as const
    for (const [method, path, body] of asked) {
      const answer = await as('gus', method, path, body)
      const told = `${method} ${path}: ${answer.text.slice(0, 200)}`
      expect(answer.status, told).toBe(200)
      expect(answer.text, told).not.toContain(SECRET)
      expect(answer.text, told).not.toContain(thread_id)
    }
    for (const [path, body] of [
      ['/threads/count', { metadata: what }],
      ['/assistants/count', { metadata: what }],
      ['/runs/crons/count', { metadata: what }],
    ] as const)
      expect((await as('gus', 'POST', path, body)).json(), path).toBe(0)
    const before = await allOf(theirs)
    expect((await as('gus', 'POST', '/threads/prune', { thread_ids: [thread_id] })).json()).toEqual({
      pruned_count: 0,
    })
    await as('gus', 'POST', '/runs/cancel', { thread_id, status: 'all' })
    await as('gus', 'PUT', '/store/items', {
      namespace: [SECRET, 'notes'],
      key: SECRET,
      value: { mine: true },
    })
    await as('gus', 'DELETE', '/store/items', { namespace: [SECRET, 'notes'], key: SECRET })
    expect((await as('gus', 'POST', '/runs', { assistant_id: theirs.assistant_id, input: {} })).status).toBe(
      404,
    )
    expect(await allOf(theirs)).toEqual(before)
  })

  test('what every graph has is for all tenants to use, and for the default one to change', async () => {
    const [assistant] = (await as('gus', 'POST', '/assistants/search', { graph_id: 'react' })).json<
      { assistant_id: string }[]
    >()
    const path = `/assistants/${assistant?.assistant_id}`
    const refused = await as('gus', 'PATCH', path, { name: 'mine' })
    expect([refused.status, refused.text]).toEqual([409, expect.stringContaining('is for all tenants')])
    expect((await as('dan', 'PATCH', path, { description: 'The usual one.' })).status).toBe(200)
  })

  describe('the tenant of a thread', () => {
    const hidden = async (threadId: string) => {
      expect((await as('gus', 'GET', `/threads/${threadId}`)).status).toBe(404)
      expect((await as('ann', 'GET', `/threads/${threadId}`)).status).toBe(200)
    }
    const FORGED = { $tenant: 'globex', tenant: 'globex', tenant_id: 'globex' }

    test('is its maker’s, and no metadata, copy, run or graph changes it', async () => {
      const ann = client('ann')
      const { thread_id } = await ann.threads.create({ metadata: FORGED })
      await hidden(thread_id)
      await ann.threads.update(thread_id, { metadata: FORGED })
      await hidden(thread_id)
      const { thread_id: copied } = await ann.threads.copy(thread_id)
      await hidden(copied)
      stage.play({ content: 'Done.' }, { content: 'Done.' })
      const config = { configurable: FORGED }
      await ann.runs.wait(thread_id, 'react', { input: says('Hello.'), metadata: FORGED, config })
      await hidden(thread_id)
      const made = newId()
      await ann.runs.wait(made, 'react', { input: says('Hello.'), metadata: FORGED, ifNotExists: 'create' })
      await hidden(made)
      await ann.threads.updateState(thread_id, { values: { messages: [] } })
      await hidden(thread_id)
    })

    test('of a copy, a state and a cron is asked for as of the thread', async () => {
      const { thread_id } = await client('ann').threads.create()
      await expect(client('gus').threads.copy(thread_id)).rejects.toThrow(/404/)
      const taken = await as('gus', 'POST', '/threads', { thread_id, if_exists: 'do_nothing' })
      expect([taken.status, taken.text]).toEqual([409, expect.not.stringContaining('acme')])
    })
  })

  test('no odd request gets at it, and none changes it', async () => {
    const theirs = await things()
    const before = await allOf(theirs)
    const known: Known = {
      ...Object.fromEntries(Object.entries(theirs).map(([name, id]) => [name, [id]])),
      thread_ids: [[theirs.thread_id]],
      ids: [[theirs.thread_id]],
      run_ids: [[theirs.run_id]],
      path: ['a.txt'],
      key: ['notes'],
      namespace: [['notes']],
      namespace_prefix: [[]],
      graph_id: ['react'],
      checkpoint: [{ checkpoint_id: theirs.checkpoint_id }],
      metadata: [{ $tenant: 'acme' }, { tenant_id: 'acme' }],
      schedule: ['0 0 1 1 *'],
      command: [{ resume: { decisions: [{ type: 'approve' }] } }, { goto: '__end__' }],
      webhook: [undefined],
    }
    const all = (await operations()).filter(({ path }) => path !== '/internal/truncate')
    const statuses = new Map<number, number>()
    const lane = async (first: number) => {
      for (let n = first; n < REQUESTS; n += 8) {
        const operation = all[n % all.length]
        if (operation === undefined) continue
        const sent = malformed(randomFrom(SEED + n * 7_919), operation, known)
        if (sent.path.includes('\\') || /[^!-~]/.test(sent.path)) continue
        const headers = { ...sent.headers, 'x-api-key': keyOf('gus') }
        const gone = AbortSignal.timeout(10_000)
        const body =
          sent.body === undefined || sent.method === 'GET' ? {} : { body: new Uint8Array(sent.body) }
        const answer = await fetch(`${stage.url}${sent.path}`, {
          method: sent.method,
          headers,
          ...body,
          signal: gone,
        }).catch(() => undefined)
        if (answer === undefined) continue
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
        const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream') === true
        const text = isStream ? '' : await answer.text()
        const told = `request ${n}, ${sent.method} ${sent.path}: ${answer.status} ${text.slice(0, 300)}`
        if (isStream) await answer.body?.cancel()
        const theirPath = [
          theirs.thread_id,
          theirs.run_id,
          theirs.approval_id,
          theirs.cron_id,
          theirs.assistant_id,
        ].some((id) => sent.path.split('?')[0]?.includes(id))
        const isCommand = sent.path.includes('/commands')
        if (theirPath && !isCommand && sent.method === operation.method)
          expect(answer.status, told).toBeGreaterThanOrEqual(400)
        expect(answer.status, told).toBeLessThan(500)
        expect(text, told).not.toContain(SECRET)
      }
    }
    await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(lane))
    expect(statuses.get(404) ?? 0).toBeGreaterThan(REQUESTS / 10)
    expect(statuses.get(200) ?? 0).toBeGreaterThan(REQUESTS / 50)
    expect(await allOf(theirs)).toEqual(before)
  }, 120_000)
})
