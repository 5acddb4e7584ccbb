import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { embeddedDirectory } from '../support/each-database.ts'
import { spawnServer, startTestServer, temporaryDirectory } from '../support/server.ts'

/** Five seconds on an idle machine. A process that shares its cores with other tests waits longer than it works. */
const PATIENCE_MS = 20_000

const SECRET = 'of thirty-two characters or more'

let dataDir = ''
beforeAll(async () => {
  dataDir = await embeddedDirectory()
}, 120_000)
afterAll(() => rm(dataDir, { recursive: true, force: true }))

// Each starts processes, which wait for their turn on a machine that other tests share.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

describe('a server that cannot start says so in one line, and ends with 1', () => {
  test('where the database cannot be reached', async () => {
    const port = await freePort()
    await expectExit(
      { DATABASE_URL: `postgres://user:secret@127.0.0.1:${port}/app`, HOLDPOINT_SECRET: SECRET },
      new RegExp(
        `^Cannot reach the database at 127\\.0\\.0\\.1:${port}/app \\(.+\\)\\. Start it, or correct DATABASE_URL\\.$`,
      ),
    )
  })

  test('where the database takes the connection and says nothing', async () => {
    const sockets: Socket[] = []
    const port = await listen(createServer((socket) => sockets.push(socket)))
    closers.push(async () => sockets.forEach((socket) => socket.destroy()))
    await expectExit(
      { DATABASE_URL: `postgres://user:secret@127.0.0.1:${port}/app`, HOLDPOINT_SECRET: SECRET },
      /^Cannot reach the database/,
    )
  })

  test('where another server uses the data directory, which goes on', async () => {
    const server = await spawnServer({ dataDir })
    closers.push(server.kill)
    await expectExit(
      {},
      new RegExp(
        `^Data directory .+ is in use by process ${server.process.pid}\\. Stop it, or set HOLDPOINT_DATA_DIR`,
      ),
    )
    expect((await fetch(`${server.url}/ok?check_db=1`)).status).toBe(200)
  })

  test('where the port is in use', async () => {
    const port = await listen(createServer())
    await expectExit(
      { PORT: String(port) },
      new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 is in use\\. Stop what uses it, or set PORT\\.$`),
    )
  })

  test('where a setting is bad', async () => {
    await expectExit(
      { PORT: 'http', HOLDPOINT_WORKERS: '-1', HOLDPOINT_LEASE_MS: '1' },
      /^Bad setting\. PORT: .+; HOLDPOINT_WORKERS: .+; HOLDPOINT_LEASE_MS: .+\. Correct it in the environment or in \.env\.$/,
    )
  })

  test('where the langgraph.json is broken', async () => {
    await expectExit(
      { HOLDPOINT_CONFIG: await project('{"graphs":') },
      /is not a langgraph\.json: SyntaxError/,
    )
  })
})

describe('a setting that is refused', () => {
  const bad: Record<string, [Record<string, string>, RegExp]> = {
    'a database of another kind': [
      { DATABASE_URL: 'mysql://x/y' },
      /DATABASE_URL: must begin with postgres:\/\//,
    ],
    'a database address that is none': [
      { DATABASE_URL: 'postgres://[', HOLDPOINT_SECRET: SECRET },
      /DATABASE_URL/,
    ],
    'a database without a secret': [
      { DATABASE_URL: 'postgres://127.0.0.1/x' },
      /^DATABASE_URL needs HOLDPOINT_SECRET, .+: openssl rand -hex 32$/,
    ],
    'a short secret': [{ HOLDPOINT_SECRET: 'short' }, /HOLDPOINT_SECRET: must have 32 characters or more/],
    "a secret that is not the database's": [
      { HOLDPOINT_SECRET: SECRET },
      /^HOLDPOINT_SECRET is not the one that this database was begun with\. Set that one/,
    ],
    'an address that others can reach': [{ HOST: '0.0.0.0' }, /^HOST=0\.0\.0\.0 would let others reach/],
    'a mail server without a scheme': [
      { SMTP_URL: 'mail.example.com' },
      /SMTP_URL: must begin with smtp:\/\//,
    ],
    'an origin that is none': [{ HOLDPOINT_CORS_ORIGINS: 'everyone' }, /HOLDPOINT_CORS_ORIGINS/],
  }
  for (const [what, [env, line]] of Object.entries(bad)) {
    test(what, () => expectRefusal(env, line))
  }

  test('a data directory that is a file, or holds something else', async () => {
    const directory = await temporaryDirectory()
    closers.push(() => rm(directory, { recursive: true, force: true }))
    await writeFile(join(directory, 'file'), 'x')
    const file = { HOLDPOINT_DATA_DIR: join(directory, 'file') }
    await expectRefusal(file, /^Cannot use the data directory .+ \(EEXIST\)\. .+HOLDPOINT_DATA_DIR/)
    await mkdir(join(directory, 'db'))
    await writeFile(join(directory, 'db', 'PG_VERSION'), 'not a version')
    await expectRefusal(
      { HOLDPOINT_DATA_DIR: directory },
      /^Cannot open the embedded database in .+ Move it away/,
    )
  })
})

describe('a langgraph.json that is refused', () => {
  const broken: Record<string, [string, RegExp]> = {
    'without graphs': ['{}', /is not a langgraph\.json: .*graphs/],
    'with a graph of a strange name': ['{"graphs":{"a b":"./g.js:graph"}}', /is not a langgraph\.json/],
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
    test(how, async () => expectRefusal({ HOLDPOINT_CONFIG: await project(text) }, line))
  }

  test('that is not there', () =>
    expectRefusal(
      { HOLDPOINT_CONFIG: '/nowhere/langgraph.json' },
      /^Cannot read .+\. Create it, or set HOLDPOINT_CONFIG/,
    ))
})

test('a start that is refused leaves the data directory to the next one', async () => {
  await expectRefusal({ HOLDPOINT_CONFIG: await project('{}') }, /langgraph\.json/)
  const server = await startTestServer({ dataDir })
  await server.close()
})

/** A project with this langgraph.json; returns the file. */
async function project(langgraphJson: string): Promise<string> {
  const directory = await temporaryDirectory()
  closers.push(() => rm(directory, { recursive: true, force: true }))
  await writeFile(join(directory, 'package.json'), '{"type":"module"}')
  await writeFile(join(directory, 'g.js'), 'export const graph = { nodes: [] }')
  await writeFile(join(directory, 'throws.js'), 'throw new Error("on purpose")')
  await writeFile(join(directory, 'langgraph.json'), langgraphJson)
  return join(directory, 'langgraph.json')
}

/** As below, without a process of its own: what it would print is what this throws. */
async function expectRefusal(env: Record<string, string>, line: RegExp): Promise<void> {
  const { HOLDPOINT_DATA_DIR: directory = dataDir, ...rest } = env
  const error = await startTestServer({ dataDir: directory, env: rest }).then(
    async (server) => {
      await server.close()
      return new Error('It started.')
    },
    (refusal: unknown) => refusal as Error,
  )
  expect(error.message).toMatch(line)
  expect(error.message).not.toMatch(/\n|secret/)
}

/** Starts a server that must not come up: one line on standard error, nothing on standard output, exit code 1. */
async function expectExit(env: Record<string, string>, line: RegExp): Promise<void> {
  const child = spawn(process.execPath, ['server/main.ts'], {
    env: { PATH: process.env['PATH'], PORT: '0', HOLDPOINT_DATA_DIR: dataDir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const out = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      out[name] += text
    })
  const impatience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  const started = performance.now()
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(impatience)
  expect({ ...out, code }).toEqual({ stdout: '', stderr: expect.stringMatching(/^[^\n]+\n$/), code: 1 })
  expect(out.stderr.trimEnd()).toMatch(line)
  expect(out.stderr).not.toContain('secret')
  expect(performance.now() - started).toBeLessThan(PATIENCE_MS)
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
