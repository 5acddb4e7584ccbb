import { execFile } from 'node:child_process'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, test, vi } from 'vitest'
import type { AuditEntry, AuditHead } from '../../runtime/audit.ts'
import { onEmbedded, onPostgres, type Place } from '../support/each-database.ts'
import { type ScriptedModel, startScriptedModel } from '../support/scripted-model.ts'
import { type ServerProcess, spawnServer } from '../support/server.ts'
import { holdsOn, httpOn, mailTo, says, untilThread } from '../support/stage.ts'
import { openDatabase } from '../support/storage.ts'

// Each starts processes, which wait for their turn on a machine that other tests share.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function modelFor(mails: number): Promise<ScriptedModel> {
  const isNew = ({ messages }: { messages: { role: string }[] }) => messages.at(-1)?.role === 'user'
  const model = await startScriptedModel(
    Array.from({ length: mails }, (_, n) => [
      { match: isNew, toolCalls: [mailTo(`mail ${n}`)] },
      { match: (request: Parameters<typeof isNew>[0]) => !isNew(request), content: 'Mailed.' },
    ]).flat(),
  )
  closers.push(model.close)
  return model
}

async function spawn(place: Place, model: ScriptedModel): Promise<ServerProcess> {
  const server = await spawnServer({ ...place, modelUrl: model.url })
  closers.push(server.kill)
  return server
}

async function held(server: ServerProcess): Promise<string> {
  const { thread_id: threadId } = await server.client.threads.create()
  await server.client.runs.wait(threadId, 'react', { input: says('Mail.') })
  return threadId
}

async function approve(server: ServerProcess, threadId: string): Promise<void> {
  const [hold] = await holdsOn(server.url, threadId)
  const path = `/approvals/${hold?.approval_id}/decisions`
  expect((await httpOn(server.url)('POST', path, { type: 'approve' })).status).toBe(200)
  await untilThread(server.client, threadId, 'idle')
}

/** A thread with one mail that was approved and sent. `decider`: where it is approved. */
async function mailed(server: ServerProcess, decider = server): Promise<string> {
  const threadId = await held(server)
  await approve(decider, threadId)
  return threadId
}

function environmentOf({ databaseUrl, secret, dataDir }: Place): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOLDPOINT_DATA_DIR: dataDir,
    ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl, HOLDPOINT_SECRET: secret }),
  }
}

async function verify(place: Place, ...args: string[]): Promise<{ code: number; said: string }> {
  const options = { env: environmentOf(place) }
  return await new Promise((done) => {
    execFile(
      process.execPath,
      ['server/bin.ts', 'audit', 'verify', ...args],
      options,
      (error, stdout, stderr) =>
        done({ code: error === null ? 0 : Number(error.code), said: `${stdout}${stderr}` }),
    )
  })
}

async function headsIn({ dataDir }: Place): Promise<AuditHead[]> {
  const text = await readFile(join(dataDir, 'audit-heads.jsonl'), 'utf8')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as AuditHead)
}

const recordOf = async (server: ServerProcess, threadId: string) =>
  (await httpOn(server.url)('GET', `/audit?thread_id=${threadId}&order=asc`)).json<AuditEntry[]>()

onPostgres((database) => {
  test('two servers that decide and execute side by side write one record without a gap', async () => {
    const model = await modelFor(8)
    const [one, two] = await Promise.all([spawn(database.place, model), spawn(database.place, model)])
    const threads = await Promise.all(
      Array.from({ length: 8 }, (_, n) => (n % 2 === 0 ? mailed(one, two) : mailed(two, one))),
    )
    for (const threadId of threads) {
      const entries = await recordOf(one, threadId)
      expect(entries.map(({ kind }) => kind)).toEqual([
        'hold.requested',
        'hold.decided',
        'grant.committed',
        'grant.consumed',
        'effect.begun',
        'effect.ended',
      ])
      expect(entries.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6])
    }
    expect(await verify(database.place)).toEqual({
      code: 0,
      said: expect.stringMatching(/^ok: 25 chains, 73 entries, \d+ exported heads\n$/),
    })
  })

  test('every command of docs/audit.md works', async () => {
    const { place } = database
    const model = await modelFor(1)
    const server = await spawn(place, model)
    const threadId = await mailed(server)
    const heads = join(place.dataDir, 'no-heads.jsonl')
    await writeFile(heads, '')
    const page = await readFile(new URL('../../docs/audit.md', import.meta.url), 'utf8')
    const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block)
    const commands = blocks
      .join('')
      .replaceAll('http://127.0.0.1:2024', server.url)
      .replaceAll('npx holdpoint', `'${process.execPath}' server/bin.ts`)
      .replaceAll('audit.jsonl', join(place.dataDir, 'audit.jsonl'))
    const script = `set -e; curl() { command curl -sS --fail-with-body -w '\\n' "$@"; }\n${commands}`
    const env = { ...process.env, ...environmentOf(place), THREAD_ID: threadId, HEADS: heads }
    const { stdout } = await promisify(execFile)('sh', ['-c', script], { env })
    const [latest = '', ofThread = '', decided = '', ...verified] = stdout.split('\n').filter(Boolean)
    expect(JSON.parse(latest)).toHaveLength(20)
    expect((JSON.parse(ofThread) as AuditEntry[]).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6])
    expect((JSON.parse(decided) as AuditEntry[]).map(({ kind }) => kind)).toContain('hold.decided')
    const exported = await readFile(join(place.dataDir, 'audit.jsonl'), 'utf8')
    expect(exported.trim().split('\n').length).toBeGreaterThan(20)
    expect(verified).toEqual([
      expect.stringMatching(/^ok: /),
      expect.stringMatching(/^ok: .+ 0 exported heads$/),
    ])
  })

  test('a server that stops has exported its heads, and they find a cut that the database hides', async () => {
    const { place } = database
    const first = await spawn(place, await modelFor(1))
    const db = await openDatabase(place)
    closers.push(() => db.close())
    const threadId = await held(first)
    const chain = `thread:${threadId}`
    const { rows: older } = await db.query('select * from audit_heads where chain = $1', [chain])
    await approve(first, threadId)
    const { rows: newer } = await db.query('select * from audit_heads where chain = $1', [chain])
    expect(await first.stop()).toBe(0)
    const exported = await headsIn(place)
    expect(exported).toContainEqual(expect.objectContaining({ chain, seq: 6, mac: newer[0]?.['mac'] }))

    // As the database was when it had one entry: with the head of then, which is genuine.
    await db.query('delete from audit_entries where chain = $1 and seq > 1', [chain])
    await db.query('update audit_heads set seq = 1, mac = $2, signature = $3 where chain = $1', [
      chain,
      older[0]?.['mac'],
      older[0]?.['signature'],
    ])
    expect((await verify(place, '--heads', '/dev/null')).code).toBe(0)
    const found = await verify(place)
    expect(found.code).toBe(1)
    expect(found.said).toContain(`chain ${chain}, entry 2: tail cut (an exported head says 6)\n`)
  })
})

onEmbedded((database) => {
  test('beside the embedded database: a secret for its owner alone, and a record that is verified when the server has stopped', async () => {
    const { place } = database
    const server = await spawn(place, await modelFor(1))
    await mailed(server)
    expect((await stat(join(place.dataDir, 'secret'))).mode & 0o777).toBe(0o600)
    expect(await verify(place)).toEqual({
      code: 1,
      said: expect.stringMatching(/^Data directory .+ is in use by process \d+\. Stop it.+\n$/),
    })
    expect(await server.stop()).toBe(0)
    expect(await verify(place)).toEqual({
      code: 0,
      said: expect.stringMatching(/^ok: 18 chains, 24 entries, 18 exported heads\n$/),
    })
  })
})
