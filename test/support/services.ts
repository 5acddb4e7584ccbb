import { randomBytes } from 'node:crypto'
import { access, constants } from 'node:fs/promises'
import { connect } from 'node:net'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { dropLeftovers, dropTemplates } from './database.ts'

/**
 * What this machine offers to the tests; null where nothing answers. Read it with `inject('services')` and
 * skip on null (`describe.skipIf(postgres === null)`): with `CI=true` a test never sees a null.
 */
export interface TestServices {
  /** Maintenance database of a PostgreSQL 15 or newer, by a role that may create databases. */
  postgres: string | null
  redis: string | null
  /** Path of the browser. */
  chromium: string | null
  /** Whether all is tested (`npm run test:all`), and not only what each change is. */
  all: boolean
}

declare module 'vitest' {
  interface ProvidedContext {
    services: TestServices
    /** Names what belongs to this run of the test runner: Unix seconds and a random part. */
    testRun: string
  }
}

const PROBE_TIMEOUT_MS = 3_000

/** Runs once before all tests. Unit tests need no service, so a run of them alone looks for none. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const testRun = `${Math.floor(Date.now() / 1000)}_${randomBytes(3).toString('hex')}`
  project.provide('testRun', testRun)
  const all = process.env['TEST_ALL'] === '1'
  if (project.vitest.projects.every(({ name }) => name === 'unit')) {
    project.provide('services', { postgres: null, redis: null, chromium: null, all })
    return undefined
  }

  const [postgres, redis, chromium] = await Promise.all([
    probe('PostgreSQL', 'TEST_DATABASE_URL', 'postgres://postgres@127.0.0.1:5432/postgres', checkPostgres),
    probe('Redis', 'TEST_REDIS_URL', 'redis://127.0.0.1:6379', checkRedis),
    probe('Chromium', 'CHROMIUM_PATH', '/usr/bin/chromium', (path) => access(path, constants.X_OK)),
  ])
  stopIfNeeded([postgres, redis, chromium])
  project.provide('services', {
    postgres: postgres.address,
    redis: redis.address,
    chromium: chromium.address,
    all,
  })

  const server = postgres.address
  if (server === null) return undefined
  await dropLeftovers(server)
  return () => dropTemplates(server, testRun)
}

type Probed = { address: string } | { address: null; line: string; needed: boolean }

/** Tries the address in `variable`, or the default one. A service that was asked for by name must answer. */
async function probe(
  name: string,
  variable: string,
  standard: string,
  check: (address: string) => Promise<void>,
): Promise<Probed> {
  const asked = process.env[variable]
  const address = asked || standard
  try {
    await check(address)
    return { address }
  } catch (cause) {
    const line = `${name} cannot be used at ${withoutPassword(address)} (${reason(cause)}). Start it, or name another one in ${variable}.`
    return { address: null, line, needed: Boolean(asked) || process.env['CI'] === 'true' }
  }
}

function stopIfNeeded(probes: Probed[]): void {
  const missing = probes.filter((probed) => probed.address === null)
  for (const { line, needed } of missing) if (!needed) console.warn(`${line} Its tests are skipped.`)
  const fatal = missing.filter(({ needed }) => needed).map(({ line }) => line)
  if (fatal.length === 0) return
  const error = new Error(fatal.join('\n'))
  // The lines say what to do; a stack through the test runner would bury them.
  error.stack = error.message
  throw error
}

async function checkPostgres(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: PROBE_TIMEOUT_MS })
  try {
    await client.connect()
    const { rows } = await client.query<{ version: number; creates: boolean }>(
      `select current_setting('server_version_num')::int as version, rolcreatedb or rolsuper as creates
       from pg_roles where rolname = current_user`,
    )
    const server = rows[0]
    if (!server || server.version < 150_000) throw new Error('version 15 or newer is needed')
    if (!server.creates) throw new Error('the role may not create databases')
  } finally {
    await client.end()
  }
}

function checkRedis(url: string): Promise<void> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port || 6379) })
    socket.setTimeout(PROBE_TIMEOUT_MS, () => socket.destroy(new Error('no answer')))
    socket.once('connect', () => socket.write('PING\r\n'))
    // A server that wants a password answers -NOAUTH: it is there, and the URL's password is the client's business.
    socket.once('data', (reply) => {
      if (/^(\+PONG|-NOAUTH)/.test(reply.toString())) resolve()
      else reject(new Error('what answers is not Redis'))
      socket.destroy()
    })
    socket.once('error', reject)
    // Without this a server that hangs up leaves nothing to wait for, and Node would end the run as a success.
    socket.once('close', () => reject(new Error('it hung up')))
  })
}

function reason(cause: unknown): string {
  // A refused connection to a name with two addresses is an AggregateError without a message of its own.
  const error = cause instanceof AggregateError ? cause.errors[0] : cause
  return error instanceof Error ? error.message : String(error)
}

function withoutPassword(address: string): string {
  return address.replace(/(:\/\/[^:@/]*):[^@/]*@/, '$1@')
}
