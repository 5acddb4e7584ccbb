import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, inject, type RunnerTask, type RunnerTestSuite } from 'vitest'

const PREFIX = 'holdpoint_test_'
/** Seconds. A run of the tests is over by then, so whatever is older belongs to nobody. */
const LEFTOVER_AGE = 3600
const MIGRATIONS = new URL('../../storage/migrations/', import.meta.url)

/** Brings an empty database up to date. It closes its connections: a database in use cannot be cloned. */
export type Migrate = (url: string) => Promise<void>

export interface TestDatabase {
  name: string
  url: string
  drop(): Promise<void>
}

/**
 * Gives a test file (or one `describe`) a migrated database of its own. It is dropped at the end, unless a
 * test failed: then it is kept for an hour and its address printed. The URL is there once `beforeAll` ran.
 * @example
 * const database = useDatabase(async (url) => { await migrate(url) })
 * test('…', async () => { const pool = new pg.Pool({ connectionString: database.url }) })
 */
export function useDatabase(migrate: Migrate): { readonly url: string } {
  let database: TestDatabase | undefined
  beforeAll(async ({}, suite) => {
    database = await cloneDatabase(await templateDatabase(migrate), basename(suite.file.name, '.test.ts'))
  })
  afterAll(async ({}, suite) => {
    if (!database) return
    if (hasFailed(suite)) console.error(`Kept for inspection: ${database.url}`)
    else await database.drop()
  })
  return {
    get url() {
      if (!database)
        throw new Error('The database exists from beforeAll on: read its URL in a test or a hook.')
      return database.url
    },
  }
}

/**
 * The name of a migrated database to clone, made by whichever test file comes first in this run. Its name
 * carries a hash of the migrations, so that a watching runner makes a new one when they change.
 */
export async function templateDatabase(migrate: Migrate): Promise<string> {
  const server = maintenanceUrl()
  const name = `${PREFIX}${inject('testRun')}_template_${await migrationsHash()}`
  return withClient(server, async (client) => {
    await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [name])
    // Connections are refused from the moment that it is complete, so that nothing can come between a clone.
    const { rows } = await client.query<{ complete: boolean }>(
      'select not datallowconn as complete from pg_database where datname = $1',
      [name],
    )
    if (rows[0]?.complete) return name
    await client.query(`drop database if exists ${name} with (force)`)
    await client.query(`create database ${name}`)
    await migrate(databaseUrl(server, name))
    await client.query(`alter database ${name} with allow_connections false`)
    return name
  })
}

/** A new database with the template's tables and rows. `label` makes its name tell whose it is. */
export async function cloneDatabase(template: string, label = 'clone'): Promise<TestDatabase> {
  const server = maintenanceUrl()
  const slug = label
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .slice(0, 24)
  const name = `${PREFIX}${Math.floor(Date.now() / 1000)}_${slug}_${randomBytes(3).toString('hex')}`
  await withClient(server, async (client) => {
    await client.query(`create database ${name} template ${template}`)
    // Tests kill processes and cut no power: what was committed is there either way, and the disk is waited for in vain.
    await client.query(`alter database ${name} set synchronous_commit = off`)
  })
  return {
    name,
    url: databaseUrl(server, name),
    drop: () => withClient(server, (client) => drop(client, name, 'with (force)')),
  }
}

/** Removes the databases of runs that ended long ago, unless somebody looks into one. */
export function dropLeftovers(server: string): Promise<void> {
  return withClient(server, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `select d.datname as name from pg_database d
       where d.datname ~ $1
         and split_part(substr(d.datname, $2::int), '_', 1)::bigint < extract(epoch from now()) - $3::int
         and not exists (select from pg_stat_activity a where a.datid = d.oid)`,
      [`^${PREFIX}[0-9]{9,11}_`, PREFIX.length + 1, LEFTOVER_AGE],
    )
    for (const { name } of rows) await drop(client, name)
  })
}

/** Removes the templates of a run that ends. */
export function dropTemplates(server: string, testRun: string): Promise<void> {
  return withClient(server, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      'select datname as name from pg_database where starts_with(datname, $1)',
      [`${PREFIX}${testRun}_template_`],
    )
    for (const { name } of rows) await drop(client, name)
  })
}

async function drop(client: pg.Client, name: string, options = ''): Promise<void> {
  await client.query(`drop database if exists ${client.escapeIdentifier(name)} ${options}`)
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

function maintenanceUrl(): string {
  const { postgres } = inject('services')
  if (postgres === null) throw new Error("No PostgreSQL here: skip on inject('services').postgres === null.")
  return postgres
}

function databaseUrl(server: string, name: string): string {
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

export async function migrationsHash(): Promise<string> {
  const hash = createHash('sha256')
  const names = await readdir(MIGRATIONS).catch((): string[] => [])
  for (const name of names.sort()) hash.update(`${name}\0`).update(await readFile(new URL(name, MIGRATIONS)))
  return hash.digest('hex').slice(0, 8)
}

function hasFailed(task: RunnerTask | Readonly<RunnerTestSuite>): boolean {
  return task.result?.state === 'fail' || ('tasks' in task && task.tasks.some(hasFailed))
}
