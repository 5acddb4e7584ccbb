import { createHash } from 'node:crypto'
import { cpSync, existsSync } from 'node:fs'
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, inject } from 'vitest'
import { openStorage } from '../../storage/open.ts'
import { migrationsHash, useDatabase } from './database.ts'
import { migrateDatabase, temporaryDirectory, TEST_SECRET } from './server.ts'

const TEMPLATE = 'holdpoint-test-template-'
/** A template that nobody made for a day is of a schema that nobody has any more. */
const OLD_MS = 24 * 3_600_000
/** A new embedded database takes four seconds on an idle machine, and its turn on a busy one. */
const SETUP_MS = 120_000

/** Where a server or a storage of a test keeps its data. */
export interface Place {
  /** Unset: the embedded database in `dataDir`. */
  databaseUrl?: string
  /** Unset: the one that the embedded database's directory has. */
  secret?: string
  dataDir: string
}

export interface EachDatabase {
  embedded: boolean
  /** Migrated and this suite's own. There from `beforeAll` on. */
  readonly place: Place
}

/**
 * Runs the suite over PostgreSQL, and over the embedded database as well where there is none, or where all is tested.
 * @example
 * onEachDatabase((database) => { test('…', async () => { await startTestServer(database.place) }) })
 */
export function onEachDatabase(suite: (database: EachDatabase) => void): void {
  const { postgres, all } = inject('services')
  if (postgres === null || all) onEmbedded(suite)
  onPostgres(suite)
}

/** The same suite over the embedded database and over PostgreSQL: for what has to be one behaviour of two databases. */
export function onBothDatabases(suite: (database: EachDatabase) => void): void {
  onEmbedded(suite)
  onPostgres(suite)
}

export function onEmbedded(suite: (database: EachDatabase) => void): void {
  describe('on PGlite', () => {
    const dataDir = useDirectory(embeddedDirectory)
    suite({
      embedded: true,
      get place() {
        return { dataDir: dataDir() }
      },
    })
  })
}

export function onPostgres(suite: (database: EachDatabase) => void): void {
  describe.skipIf(inject('services').postgres === null)('on PostgreSQL', () => {
    const database = useDatabase(migrateDatabase)
    const dataDir = useDirectory(temporaryDirectory)
    suite({
      embedded: false,
      get place() {
        return { databaseUrl: database.url, secret: TEST_SECRET, dataDir: dataDir() }
      },
    })
  })
}

function useDirectory(create: () => Promise<string>): () => string {
  let directory: string | undefined
  beforeAll(async () => {
    directory = await create()
  }, SETUP_MS)
  afterAll(async () => {
    if (directory !== undefined) await rm(directory, { recursive: true, force: true })
  })
  return () => {
    if (directory === undefined) throw new Error('The directory exists from beforeAll on.')
    return directory
  }
}

/** A data directory with a migrated embedded database in it. Making one takes seconds, copying it a fifth of one. */
export async function embeddedDirectory(): Promise<string> {
  const template = join(tmpdir(), `${TEMPLATE}${await templateHash()}`)
  const directory = await temporaryDirectory()
  if (!copied(template, directory)) {
    await makeTemplate(template)
    cpSync(template, directory, { recursive: true })
  }
  return directory
}

function copied(from: string, to: string): boolean {
  if (!existsSync(from)) return false
  cpSync(from, to, { recursive: true })
  return true
}

/** Renamed when it is whole: another test file either finds all of it or makes its own. Old ones are of other schemas. */
async function makeTemplate(template: string): Promise<void> {
  const dataDir = await temporaryDirectory()
  const storage = await openStorage({
    databaseUrl: undefined,
    dataDir,
    poolSize: 1,
    connectTimeoutMs: 1_000,
  })
  await storage.close()
  try {
    await rename(dataDir, template)
  } catch {
    await rm(dataDir, { recursive: true, force: true })
  }
  for (const name of await readdir(tmpdir())) {
    const path = join(tmpdir(), name)
    if (!name.startsWith(TEMPLATE) || path === template) continue
    const { mtimeMs } = await stat(path)
    if (mtimeMs < Date.now() - OLD_MS) await rm(path, { recursive: true, force: true })
  }
}

/** Of what makes the database what it is: the migrations, ours and LangGraph's, and PGlite itself. */
async function templateHash(): Promise<string> {
  const lock = await readFile(new URL('../../package-lock.json', import.meta.url))
  return createHash('sha256')
    .update(await migrationsHash())
    .update(lock)
    .digest('hex')
    .slice(0, 16)
}
