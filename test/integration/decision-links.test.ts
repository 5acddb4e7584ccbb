import { execFile } from 'node:child_process'
import { Client } from '@langchain/langgraph-sdk'
import { expect, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { type EachDatabase, onEachDatabase, onPostgres } from '../support/each-database.ts'
import { type Keyed, makeKeys } from '../support/keys.ts'
import { useProcesses } from '../support/processes.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { httpOn, mailTo, says, untilThread } from '../support/stage.ts'
import { openDatabase } from '../support/storage.ts'

const PEOPLE = {
  otto: { roles: ['operator'] },
  ada: { roles: ['approver'] },
  root: { roles: ['admin'] },
} satisfies Record<string, Keyed>

function useServers(database: EachDatabase) {
  const { closers, scripted } = useProcesses()
  let keys: Record<keyof typeof PEOPLE, string>
  return {
    async start(modelUrl: string, more: { now?: () => Date; env?: Record<string, string> } = {}) {
      const server = await startTestServer({ ...database.place, modelUrl, ...more })
      closers.push(server.close)
      return server
    },
    async stage() {
      keys = await makeKeys(database.place, PEOPLE)
      return await scripted({ toolCalls: [mailTo('A link')] }, { content: 'Done.' })
    },
    client: ({ url }: TestServer) => new Client({ apiUrl: url, apiKey: keys.otto }),
    async held(server: TestServer) {
      const client = new Client({ apiUrl: server.url, apiKey: keys.otto })
      const { thread_id: threadId } = await client.threads.create()
      await client.runs.wait(threadId, 'react', { input: says('Mail.') })
      await untilThread(client, threadId, 'interrupted')
      return { threadId, id: await approvalOf(server, threadId) }
    },
    async issue(server: TestServer, id: string, more: object = {}): Promise<string> {
      const answer = await httpOn(server.url)(
        'POST',
        `/approvals/${id}/links`,
        { principal: 'ada', ...more },
        { 'x-api-key': keys.root },
      )
      expect(answer.status, answer.text).toBe(200)
      return answer.json<{ url: string }>().url
    },
    async status(server: TestServer, id: string): Promise<string> {
      const answer = await httpOn(server.url)('GET', `/approvals/${id}`, undefined, {
        'x-api-key': keys.root,
      })
      return answer.json<Hold>().status
    },
  }
  async function approvalOf({ url }: TestServer, threadId: string): Promise<string> {
    const answer = await httpOn(url)('GET', `/approvals?thread_id=${threadId}`, undefined, {
      'x-api-key': keys.root,
    })
    return answer.json<Hold[]>()[0]?.approval_id ?? ''
  }
}

onEachDatabase((database) => {
  const { start, stage, client, held, issue, status } = useServers(database)

  test('a link works until its time is over, and then is refused as one that was used', async () => {
    const model = await stage()
    let now = new Date()
    const server = await start(model.url, {
      now: () => now,
      env: { HOLDPOINT_PUBLIC_URL: 'https://agents.example/' },
    })
    const { id, threadId } = await held(server)
    const url = await issue(server, id, { expires_in: 600 })
    expect(url.startsWith('https://agents.example/webhooks/approvals/')).toBe(true)
    const path = new URL(url).pathname
    const http = httpOn(server.url)
    const issued = now.getTime()
    now = new Date(issued + 599_000)
    expect((await http('GET', path)).status).toBe(200)
    now = new Date(issued + 601_000)
    expect((await http('GET', path)).status).toBe(410)
    const late = await http('POST', path, { type: 'reject' })
    expect([late.status, late.text]).toEqual([410, expect.stringContaining('has expired')])
    expect(await status(server, id)).toBe('pending')
    now = new Date(issued)
    expect((await http('POST', path, { type: 'reject' })).status).toBe(200)
    await untilThread(client(server), threadId, 'idle')
  })

  test(
    'links of a server that was stopped, and of the command line, work on the next one, each once',
    { timeout: 60_000 },
    async () => {
      const model = await stage()
      const first = await start(model.url)
      const { id, threadId } = await held(first)
      const issued = new URL(await issue(first, id)).pathname
      await first.close()

      const { databaseUrl, secret, dataDir } = database.place
      const env = {
        PATH: process.env['PATH'],
        HOLDPOINT_DATA_DIR: dataDir,
        PORT: '4711',
        ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl, HOLDPOINT_SECRET: secret }),
      }
      const printed = await holdpoint(env, 'approvals', 'link', id, '--for', 'ada', '--decision', 'approve')
      expect(printed.out).toMatch(/^http:\/\/127\.0\.0\.1:4711\/webhooks\/approvals\/[\w-]+\.[\w-]{43}\n$/)
      expect(printed).toMatchObject({ code: 0, err: expect.stringContaining('approve as ada, once, until') })
      expect(await holdpoint(env, 'approvals', 'link', id, '--for', 'otto')).toMatchObject({
        code: 1,
        out: '',
        err: expect.stringMatching(/role approver/),
      })

      const next = await start(model.url)
      const say = (path: string) => httpOn(next.url)('POST', path, { type: 'approve' })
      const path = new URL(printed.out.trim()).pathname
      expect((await httpOn(next.url)('GET', issued)).status).toBe(200)
      expect((await say(path)).status).toBe(200)
      expect((await say(path)).status).toBe(410)
      await untilThread(client(next), threadId, 'idle')
      expect(await status(next, id)).toBe('approved')
    },
  )
})

onPostgres((database) => {
  const { start, stage, client, held, issue } = useServers(database)

  test('the log of a request that fails has no token in it', async () => {
    const model = await stage()
    const server = await start(model.url)
    const { id, threadId } = await held(server)
    const path = new URL(await issue(server, id)).pathname
    const db = await openDatabase(database.place)
    try {
      await db.query('alter table decision_links rename to decision_links_away')
      const answer = await httpOn(server.url)('POST', path, { type: 'approve' })
      expect(answer.status).toBe(500)
      await db.query('alter table decision_links_away rename to decision_links')
    } finally {
      await db.close()
    }
    const failed = server.logLines.filter((line) => line.includes('A request failed'))
    expect(failed).toEqual([expect.stringContaining('"path":"/webhooks/approvals/…"')])
    const [told = '', mac = ''] = path.split('/').at(-1)?.split('.') ?? []
    for (const line of server.logLines) {
      expect(line).not.toContain(told)
      expect(line).not.toContain(mac)
    }
    expect((await httpOn(server.url)('POST', path, { type: 'reject' })).status).toBe(200)
    await untilThread(client(server), threadId, 'idle')
  })
})

function holdpoint(
  env: Record<string, string | undefined>,
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  return new Promise((done) => {
    execFile(process.execPath, ['server/bin.ts', ...args], { env }, (error, out, err) => {
      done({ code: typeof error?.code === 'number' ? error.code : 0, out, err })
    })
  })
}
