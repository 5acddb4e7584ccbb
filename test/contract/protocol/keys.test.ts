import { Client } from '@langchain/langgraph-sdk'
import { describe, expect, test, vi } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { NO_AUTHORITY } from '../../../server/auth.ts'
import { withKeys } from '../../../server/keys.ts'
import { onEachDatabase, onPostgres } from '../../support/each-database.ts'
import { type Keyed, makeKeys, useKeyedStage } from '../../support/keys.ts'
import { startTestServer } from '../../support/server.ts'
import { httpOn, mailTo, says, untilThread, WAIT } from '../../support/stage.ts'
import { openStorage } from '../../../storage/open.ts'

const PEOPLE = {
  vera: { roles: ['viewer'] },
  otto: { roles: ['operator'] },
  ada: { roles: ['approver'] },
  sam: { roles: ['senior'] },
  root: { roles: ['admin'] },
  bot: { roles: ['operator'], kind: 'agent' },
  brief: { roles: ['viewer'], expiresInSeconds: 1 },
} satisfies Record<string, Keyed>

onEachDatabase((database) => {
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE)

  test('without a key, or with one that opens nothing, only what is for everybody is answered', async () => {
    const [, id = '', secret = ''] = /^hp_(\w{16})_(.+)$/.exec(keyOf('vera')) ?? []
    const wrong = `hp_${id}_${secret.slice(0, -1)}${secret.endsWith('A') ? 'B' : 'A'}`
    const strangers: Record<string, string>[] = [
      {},
      { 'x-api-key': wrong },
      { 'x-api-key': `hp_${'0'.repeat(16)}_${secret}` },
      { 'x-api-key': 'hp_short' },
      { 'x-api-key': 'lsv2_of_another_service' },
      { authorization: `Bearer ${wrong}` },
      { authorization: 'Bearer of-another-service' },
    ]
    for (const headers of strangers) {
      for (const [method, path, body] of [
        ['GET', '/approvals', undefined],
        ['POST', '/threads/search', {}],
        ['POST', '/threads/search', '{not json'],
        ['GET', '/threads/no-uuid', undefined],
        ['GET', '/metrics', undefined],
        ['GET', '/audit', undefined],
        ['POST', `/approvals/${newId()}/decisions`, { type: 'approve' }],
        ['POST', `/threads/${newId()}/stream/events`, { channels: ['values'] }],
        ['GET', '/store/items?namespace=a&key=b', undefined],
      ] as const) {
        const answer = await stage.http(method, path, body, headers)
        expect(answer.status, `${method} ${path} ${JSON.stringify(headers)}`).toBe(401)
        expect(answer.text).toMatch(/holdpoint keys create/)
        expect(answer.text).not.toContain(secret)
      }
    }
    for (const path of ['/ok', '/info', '/console', '/docs', '/openapi.json'])
      expect((await stage.http('GET', path)).status, path).toBe(200)
  })

  test('a WebSocket is opened by those who have a key', async () => {
    const address = `${stage.url.replace('http', 'ws')}/threads/${newId()}/stream/events`
    const { WebSocket } = await import('ws')
    const opened = (headers: Record<string, string>) =>
      new Promise<boolean>((done) => {
        const socket = new WebSocket(address, { headers })
        socket.on('open', () => {
          socket.close()
          done(true)
        })
        socket.on('error', () => done(false))
      })
    expect(await opened({})).toBe(false)
    expect(await opened({ 'x-api-key': keyOf('vera') })).toBe(true)
  })

  test('a key is sent in either header; another service’s stands beside it', async () => {
    for (const headers of [
      { 'x-api-key': keyOf('vera') },
      { authorization: `Bearer ${keyOf('vera')}` },
      { 'x-api-key': 'lsv2_other', authorization: `bearer ${keyOf('vera')}` },
      { 'x-api-key': keyOf('vera'), authorization: 'Bearer of-another-service' },
    ] as Record<string, string>[])
      expect((await stage.http('GET', '/approvals', undefined, headers)).status).toBe(200)
    const client = new Client({ apiUrl: stage.url, apiKey: keyOf('otto') })
    expect((await client.threads.create()).thread_id).toMatch(/^[0-9a-f-]{36}$/)
  })

  test('a key that has expired opens nothing, and says so to its owner', async () => {
    await vi.waitFor(async () => {
      const answer = await as('brief', 'GET', '/approvals')
      expect([answer.status, answer.text]).toEqual([401, expect.stringMatching(/^This key has expired/)])
    }, WAIT)
  })

  describe('what a role may', () => {
    const READS = [
      ['POST', '/threads/search', {}],
      ['POST', '/assistants/search', {}],
      ['POST', '/runs/crons/search', {}],
      ['GET', '/approvals', undefined],
      ['GET', '/audit', undefined],
      ['POST', '/store/namespaces', {}],
    ] as const
    const WRITES = [
      ['POST', '/threads', {}],
      ['POST', '/runs', { assistant_id: 'nowhere', input: {} }],
      ['PUT', '/store/items', { namespace: ['a'], key: 'k', value: {} }],
      ['DELETE', '/store/items', { namespace: ['a'], key: 'k' }],
      ['POST', '/runs/crons', { assistant_id: 'nowhere', schedule: '0 0 1 1 *' }],
      ['POST', '/assistants', { graph_id: 'react' }],
      ['POST', '/threads/prune', { thread_ids: [newId()] }],
      ['POST', '/runs/cancel', { status: 'all' }],
      ['DELETE', `/threads/${newId()}`, undefined],
      ['POST', `/threads/${newId()}/copy`, undefined],
    ] as const
    const OWNERS = [['GET', '/metrics', undefined]] as const

    test.each(['vera', 'otto', 'ada', 'sam', 'root', 'bot'] as const)('%s', async (name) => {
      const writes = ['otto', 'bot', 'root'].includes(name)
      const asked = [
        ...READS.map((one) => [...one, true, 'viewer'] as const),
        ...WRITES.map((one) => [...one, writes, 'operator'] as const),
        ...OWNERS.map((one) => [...one, name === 'root', 'admin'] as const),
      ]
      for (const [method, path, body, may, role] of asked) {
        const answer = await as(name, method, path, body)
        const told = `${method} ${path}: ${answer.status} ${answer.text.slice(0, 200)}`
        if (may) expect([401, 403], told).not.toContain(answer.status)
        // Of a thread that is not there nothing else is said.
        else if (path.endsWith('/copy')) expect([403, 404], told).toContain(answer.status)
        else {
          expect(answer.status, told).toBe(403)
          expect(answer.text).toMatch(new RegExp(`^This needs the role ${role}; ${name} has `))
        }
      }
      const export_ = await stage.http('GET', '/audit', undefined, {
        'x-api-key': keyOf(name),
        accept: 'application/x-ndjson',
      })
      expect(export_.status).toBe(name === 'root' ? 200 : 403)
    })

    test('an approver answers a hold by a run’s command, starts nothing else, and viewers do neither', async () => {
      stage.play({ toolCalls: [mailTo('roles')] }, { content: 'Done.' })
      const client = (name: keyof typeof PEOPLE) =>
        new Client({ apiUrl: stage.url, apiKey: keyOf(name), callerOptions: { maxRetries: 0 } })
      const { thread_id: threadId } = await client('otto').threads.create()
      await client('otto').runs.wait(threadId, 'react', { input: says('Mail.') })
      await untilThread(client('vera'), threadId, 'interrupted')
      const resume = { command: { resume: { decisions: [{ type: 'approve' }] } } }
      const refused = (name: keyof typeof PEOPLE, payload: object, words: RegExp) =>
        expect(client(name).runs.wait(threadId, 'react', payload)).rejects.toThrow(words)
      await refused('vera', resume, /needs the role operator/)
      await refused('otto', resume, /needs the role approver/)
      await refused('bot', resume, /needs the role approver/)
      await refused('ada', { input: says('More.') }, /needs the role operator/)
      for (const more of [
        { command: { ...resume.command, goto: 'tools' } },
        { ...resume, config: { configurable: { tone: 'loud' } } },
        { ...resume, context: { tone: 'loud' } },
        { ...resume, webhook: 'https://example.com/hook' },
        { ...resume, interruptBefore: ['tools'] },
      ])
        await refused('ada', more, /needs the role operator/)
      const another = { assistant_id: 'supervisor', ...resume }
      const wrong = await as('ada', 'POST', `/threads/${threadId}/runs/wait`, another)
      expect([wrong.status, wrong.text]).toEqual([403, expect.stringContaining('needs the role operator')])
      await client('ada').runs.wait(threadId, 'react', resume)
      const [hold] = (await as('vera', 'GET', `/approvals?thread_id=${threadId}`)).json<
        { status: string; requester: string; decisions: unknown[] }[]
      >()
      expect(hold).toMatchObject({ status: 'approved', requester: 'otto', decisions: [{ by: 'ada' }] })
    })
  })

  test('who asked is told to the graph and to the record, by name; the key is in neither', async () => {
    const { thread_id } = (await as('otto', 'POST', '/threads', {})).json<{ thread_id: string }>()
    await as('otto', 'DELETE', `/threads/${thread_id}`)
    const keys = (await as('root', 'GET', '/audit?kind=key.created')).json<
      { data: Record<string, unknown> }[]
    >()
    expect(keys.map(({ data }) => data['person'])).toContain('otto')
    expect(JSON.stringify(keys)).not.toContain(keyOf('otto').slice(-43))
    expect((await as('vera', 'GET', '/audit?kind=key.created')).json()).toEqual([])
  })
})

onPostgres((database) => {
  test('a thousand requests with a key read it once, until it changes', async () => {
    const { reader } = await makeKeys(database.place, { reader: { roles: ['viewer'] } })
    const storage = await openStorage({
      databaseUrl: undefined,
      ...database.place,
      poolSize: 1,
      connectTimeoutMs: 3_000,
    })
    let reads = 0
    const people: typeof storage.people = {
      ...storage.people,
      key: (...asked) => {
        reads += 1
        return storage.people.key(...asked)
      },
    }
    const authority = await withKeys(NO_AUTHORITY, { people, signals: storage.signals })
    try {
      const request = new Request('http://here/', { headers: { 'x-api-key': reader } })
      const began = performance.now()
      for (let n = 0; n < 1_000; n++) {
        const caller = await authority.caller(request)
        await caller.may('threads:read', {})
      }
      // What is remembered is forgotten every five seconds.
      expect(reads).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - began) / 5_000))
      await storage.people.setRoles('reader', ['admin'], 'a test')
      await vi.waitFor(
        async () => expect((await authority.caller(request)).person.roles).toEqual(['admin']),
        WAIT,
      )
    } finally {
      await authority.close()
      await storage.close()
    }
  })
})

onPostgres((database) => {
  test('what happens to a key counts at once on every server', async () => {
    const place = database.place
    const open = () => openStorage({ databaseUrl: undefined, ...place, poolSize: 1, connectTimeoutMs: 3_000 })
    const servers = await Promise.all([startTestServer(place), startTestServer(place)])
    const storage = await open()
    try {
      const statuses = async (key: string) =>
        await Promise.all(
          servers.map(
            async ({ url }) =>
              (await httpOn(url)('GET', '/approvals', undefined, { 'x-api-key': key })).status,
          ),
        )
      // No key was ever made: whoever is here may do everything.
      expect(await statuses('')).toEqual([200, 200])
      const { first, second, third } = await makeKeys(place, {
        first: { roles: ['viewer'] },
        second: { roles: ['viewer'] },
        third: { roles: ['viewer'] },
      })
      const soon = { timeout: 3_000, interval: 20 }
      await vi.waitFor(async () => expect(await statuses('')).toEqual([401, 401]), soon)
      for (const key of [first, second, third]) expect(await statuses(key)).toEqual([200, 200])

      expect(await storage.people.revoke(first.slice(3, 19), 'a test')).toBe(true)
      await vi.waitFor(async () => expect(await statuses(first)).toEqual([401, 401]), soon)
      expect(await storage.people.disable('second', 'a test')).toBe(true)
      await vi.waitFor(async () => expect(await statuses(second)).toEqual([401, 401]), soon)
      expect(await statuses(third)).toEqual([200, 200])

      const writes = async () => {
        const url = servers[0]?.url ?? ''
        const answer = await httpOn(url)('POST', '/threads', {}, { 'x-api-key': third })
        return answer.status
      }
      expect(await writes()).toBe(403)
      expect(await storage.people.setRoles('third', ['operator'], 'a test')).toBe(true)
      await vi.waitFor(async () => expect(await writes()).toBe(200), soon)
      const [entry] = (await storage.people.keys()).filter(({ identity }) => identity === 'third')
      expect(entry?.last_used).toBe(new Date().toISOString().slice(0, 10))
      const stream = await openStream(servers[0]?.url ?? '', third)
      const socket = await openSocket(servers[1]?.url ?? '', third)
      // The last key is revoked, and nobody is local again.
      expect(await storage.people.revoke(third.slice(3, 19), 'a test')).toBe(true)
      await vi.waitFor(async () => expect(await statuses(third)).toEqual([401, 401]), soon)
      expect(await statuses('')).toEqual([401, 401])
      // What is open ends with it.
      await Promise.all([stream.ended, socket.ended])
    } finally {
      await storage.close()
      await Promise.all(servers.map((server) => server.close()))
    }
  })
})

/** The events of a thread, which have no end of their own. */
async function openStream(url: string, key: string): Promise<{ ended: Promise<unknown> }> {
  const headers = { 'x-api-key': key }
  const made = await httpOn(url)('POST', '/threads', {}, headers)
  const { thread_id: threadId } = made.json<{ thread_id: string }>()
  const answer = await fetch(`${url}/threads/${threadId}/stream`, { headers })
  expect(answer.status).toBe(200)
  return { ended: answer.text() }
}

async function openSocket(url: string, key: string): Promise<{ ended: Promise<unknown> }> {
  const { WebSocket } = await import('ws')
  const socket = new WebSocket(`${url.replace('http', 'ws')}/threads/${newId()}/stream/events`, {
    headers: { 'x-api-key': key },
  })
  const ended = new Promise((done) => socket.on('close', done))
  await new Promise((done, fail) => {
    socket.on('open', done)
    socket.on('error', fail)
  })
  return { ended }
}
