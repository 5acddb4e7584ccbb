import { cpSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { afterAll, beforeAll, describe, inject } from 'vitest'
import { openStorage } from '../../storage/open.ts'
import { useDatabase } from './database.ts'
import { migrateDatabase, temporaryDirectory } from './server.ts'
import { embeddedTemplate } from './services.ts'

/** Where a server or a storage of a test keeps its data. */
export interface Place {
  /** Unset: the embedded database in `dataDir`. */
  databaseUrl?: string
  dataDir: string
}

export interface EachDatabase {
  embedded: boolean
  /** Migrated and this suite's own. There from `beforeAll` on. */
  readonly place: Place
}

/**
 * Runs the same suite over the embedded database and over PostgreSQL, where there is one.
 * @example
 * onEachDatabase((database) => { test('…', async () => { await startTestServer(database.place) }) })
 */
export function onEachDatabase(suite: (database: EachDatabase) => void): void {
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
        return { databaseUrl: database.url, dataDir: dataDir() }
      },
    })
  })
}

function useDirectory(create: () => Promise<string>): () => string {
  let directory: string | undefined
  beforeAll(async () => {
    directory = await create()
  })
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
  const template = embeddedTemplate(inject('testRun'))
  const directory = await temporaryDirectory()
  if (!copied(template, directory)) {
    await makeTemplate(template)
    cpSync(template, directory, { recursive: true })
  }
  return directory
}

function copied(from: string, to: string): boolean {
  try {
    cpSync(from, to, { recursive: true })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** Renamed when it is whole: another test file either finds all of it or makes its own. */
async function makeTemplate(template: string): Promise<void> {
  const dataDir = await temporaryDirectory()
  const storage = await openStorage({ databaseUrl: undefined, dataDir, poolSize: 1, connectTimeoutMs: 1_000 })
  await storage.close()
  await rename(dataDir, template).catch(async () => {
    await rm(dataDir, { recursive: true, force: true })
  })
}
