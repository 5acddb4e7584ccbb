import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PGlite } from '@electric-sql/pglite'

const PGLITE_PACKAGE = new URL('../package.json', import.meta.resolve('@electric-sql/pglite'))
const CACHE = new URL('../node_modules/.cache/holdpoint/', import.meta.url)

/**
 * The directory of the embedded database, made at the first start. It appears whole or not at all, so that a process
 * that dies while making it leaves nothing that the next one would take for a database.
 */
export async function ensureCluster(dataDir: string): Promise<string> {
  const directory = join(dataDir, 'db')
  if (existsSync(directory)) return directory
  const template = await templateDirectory()
  if (existsSync(template)) await appear(directory, (temp) => cp(template, temp, { recursive: true }))
  else await appear(directory, initialise)
  return directory
}

/** Does the slow part of a first start ahead of time. Run by `npm ci` in a checkout. */
export async function prepareTemplate(): Promise<void> {
  const template = await templateDirectory()
  if (!existsSync(template)) await appear(template, initialise)
}

/** An empty database belongs to the PGlite that made it. */
async function templateDirectory(): Promise<string> {
  const { version } = JSON.parse(await readFile(PGLITE_PACKAGE, 'utf8')) as { version: string }
  return fileURLToPath(new URL(`pglite-${version}`, CACHE))
}

async function initialise(directory: string): Promise<void> {
  const db = await PGlite.create(directory)
  await db.close()
}

async function appear(directory: string, make: (temp: string) => Promise<void>): Promise<void> {
  const temp = `${directory}.${randomUUID()}.tmp`
  try {
    await mkdir(dirname(directory), { recursive: true })
    await make(temp)
    await rename(temp, directory)
  } finally {
    await rm(temp, { recursive: true, force: true })
  }
}

if (import.meta.main) await prepareTemplate()
