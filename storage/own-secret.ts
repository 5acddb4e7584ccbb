import { randomBytes, randomUUID } from 'node:crypto'
import { link, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The secret of an embedded database: made with it, beside it, readable by its owner alone. */
export async function ownSecret(dataDir: string): Promise<string> {
  const path = join(dataDir, 'secret')
  const found = await read(path)
  if (found !== undefined) return found
  // A hard link appears whole or not at all: a secret that is half written would be another one.
  const mine = join(dataDir, `secret.${randomUUID()}`)
  await writeFile(mine, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx' })
  try {
    await link(mine, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await unlink(mine)
  }
  return (await read(path)) ?? ''
}

async function read(path: string): Promise<string | undefined> {
  let text: string
  try {
    text = (await readFile(path, 'utf8')).trim()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Error(`Cannot read ${path}. Make it readable for this user, or set HOLDPOINT_SECRET.`, {
      cause,
    })
  }
  if (text.length >= 32) return text
  throw new Error(
    `${path} has no secret of 32 characters or more. Put back the one it had, or set HOLDPOINT_SECRET.`,
  )
}
