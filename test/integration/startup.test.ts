import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { cloneDatabase } from '../support/database.ts'
import { embeddedDirectory } from '../support/each-database.ts'
import { spawnServer, temporaryDirectory } from '../support/server.ts'

/** A person who waits for a prompt waits this long. */
const WITHIN_MS = 5_000

let dataDir = ''
beforeAll(async () => {
  dataDir = await embeddedDirectory()
}, 120_000)
afterAll(() => rm(dataDir, { recursive: true, force: true }))

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

test('a database that cannot be reached', async () => {
  const port = await freePort()
  await expectRefusal(
    { DATABASE_URL: `postgres://user:secret@127.0.0.1:${port}/app` },
    new RegExp(
      `^Cannot reach the database at 127\\.0\\.0\\.1:${port}/app \\(.+\\)\\. Start it, or correct DATABASE_URL\\.$`,
    ),
  )
})

test('a database that takes the connection and says nothing', async () => {
  const port = await listen(createServer(() => {}))
  await expectRefusal(
    { DATABASE_URL: `postgres://user:secret@127.0.0.1:${port}/app` },
    /^Cannot reach the database/,
  )
})

test('a database address that is none', async () => {
  await expectRefusal(
    { DATABASE_URL: 'mysql://x/y' },
    /^Bad setting\. DATABASE_URL: must begin with postgres:\/\//,
  )
  await expectRefusal({ DATABASE_URL: 'postgres://[' }, /DATABASE_URL/)
})

test('a data directory that another server uses', async () => {
  const server = await spawnServer({ dataDir })
  closers.push(server.kill)
  await expectRefusal(
    {},
    new RegExp(
      `^Data directory .+ is in use by process ${server.process.pid}\\. Stop it, or set HOLDPOINT_DATA_DIR`,
    ),
  )
  // The one that was there goes on.
  expect((await fetch(`${server.url}/ok?check_db=1`)).status).toBe(200)
})

test('a data directory that cannot be written, or holds something else', async () => {
  const directory = await temporaryDirectory()
  closers.push(() => rm(directory, { recursive: true, force: true }))
  await writeFile(join(directory, 'file'), 'x')
  await expectRefusal({ HOLDPOINT_DATA_DIR: join(directory, 'file') }, /HOLDPOINT_DATA_DIR|data directory/i)
  await mkdir(join(directory, 'db'))
  await writeFile(join(directory, 'db', 'PG_VERSION'), 'not a version')
  await expectRefusal(
    { HOLDPOINT_DATA_DIR: directory },
    /Cannot open the embedded database in .+ Move it away/,
  )
})

test('a port in use', async () => {
  const port = await listen(createServer())
  await expectRefusal(
    { PORT: String(port) },
    new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 is in use\\. Stop what uses it, or set PORT\\.$`),
  )
})

test('a bad setting, each of them in one line', async () => {
  await expectRefusal(
    { PORT: 'http', HOLDPOINT_WORKERS: '-1', HOLDPOINT_LEASE_MS: '1' },
    /^Bad setting\. PORT: .+; HOLDPOINT_WORKERS: .+; HOLDPOINT_LEASE_MS: .+\. Correct it in the environment or in \.env\.$/,
  )
  await expectRefusal({ HOST: '0.0.0.0' }, /^HOST=0\.0\.0\.0 would let others reach this server/)
  await expectRefusal({ SMTP_URL: 'mail.example.com' }, /SMTP_URL: must begin with smtp:\/\//)
  await expectRefusal({ HOLDPOINT_CORS_ORIGINS: 'everyone' }, /HOLDPOINT_CORS_ORIGINS/)
})

describe('a langgraph.json', () => {
  const broken: Record<string, [string | undefined, RegExp]> = {
    'that is not there': [undefined, /^Cannot read .+\. Create it, or set HOLDPOINT_CONFIG/],
    'that is no JSON': ['{"graphs":', /is not a langgraph\.json: SyntaxError/],
    'without graphs': ['{}', /is not a langgraph\.json: .*graphs/],
    'with a graph of a strange name': ['{"graphs":{"a b":"./g.ts:graph"}}', /is not a langgraph\.json/],
    'with a file that is not there': [
      '{"graphs":{"a":"./nowhere.ts:graph"}}',
      /^Graph "a" does not load from \.\/nowhere\.ts/,
    ],
    'with an export that is not there': [
      '{"graphs":{"a":"./g.js:other"}}',
      /Graph "a" does not load .* no export "other"/,
    ],
    'with an export that is no graph': [
      '{"graphs":{"a":"./g.js:graph"}}',
      /Graph "a" does not load .* is no graph/,
    ],
    'with a file that throws': [
      '{"graphs":{"a":"./throws.js:graph"}}',
      /Graph "a" does not load .*: on purpose/,
    ],
  }
  for (const [how, [text, line]] of Object.entries(broken)) {
    test(how, async () => {
      const directory = await temporaryDirectory()
      closers.push(() => rm(directory, { recursive: true, force: true }))
      const file = join(directory, 'langgraph.json')
      if (text !== undefined) await writeFile(file, text)
      await writeFile(join(directory, 'package.json'), '{"type":"module"}')
      await writeFile(join(directory, 'g.js'), 'export const graph = { nodes: [] }')
      await writeFile(join(directory, 'throws.js'), 'throw new Error("on purpose")')
      await expectRefusal({ HOLDPOINT_CONFIG: file }, line)
    })
  }
})

describe.skipIf(inject('services').postgres === null)('on PostgreSQL', () => {
  test('a database of a newer Holdpoint', async () => {
    const database = await cloneDatabase('template0', 'startup')
    closers.push(database.drop)
    const { default: pg } = await import('pg')
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query(
      'create table holdpoint_migrations (version integer primary key, name text not null, applied_at timestamptz not null default now())',
    )
    await client.query(`insert into holdpoint_migrations (version, name) values (9999, 'later')`)
    await client.end()
    await expectRefusal(
      { DATABASE_URL: database.url },
      /^The database has schema 9999, this Holdpoint knows \d+\./,
    )
  })
})

/** Starts a server that must not come up: one line on standard error, nothing on standard output, exit code 1. */
async function expectRefusal(env: Record<string, string>, line: RegExp): Promise<void> {
  const child = spawn(process.execPath, ['server/main.ts'], {
    env: { PATH: process.env['PATH'], PORT: '0', HOLDPOINT_DATA_DIR: dataDir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const out = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      out[name] += text
    })
  const impatience = setTimeout(() => child.kill('SIGKILL'), patience())
  const started = performance.now()
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(impatience)
  expect({ ...out, code }).toEqual({ stdout: '', stderr: expect.stringMatching(/^[^\n]+\n$/), code: 1 })
  expect(out.stderr.trimEnd()).toMatch(line)
  expect(out.stderr).not.toContain('secret')
  expect(performance.now() - started).toBeLessThan(patience())
}

/** On a machine that other tests share, a process may wait for its turn longer than it works. */
function patience(): number {
  return process.env['CI'] === 'true' ? WITHIN_MS * 4 : WITHIN_MS * 4
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve)
      }),
  )
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('No port.')
  return address.port
}

async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  await closers.pop()?.()
  return port
}
