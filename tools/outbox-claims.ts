import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

const CLAIM = 'claim '

type Entry = { kind: 'claim'; by: string } | { kind: 'mail' }

/**
 * Who may write the mail of a key: a list of files `KEY.1`, `KEY.2`, … that only grows, each entry a claim or the mail
 * itself. An entry is added by an exclusive link behind the last one, so of two executions one sees the other: once a
 * later one has claimed the key, the earlier cannot send any more, however long it was away.
 */
export function outboxClaims(directory: string) {
  const pathOf = (key: string, n: number) => join(directory, `${key}.${n}`)

  async function last(key: string): Promise<{ n: number; entry: Entry | undefined }> {
    let entry: Entry | undefined
    for (let n = 1; ; n++) {
      const bytes = await readFile(pathOf(key, n)).catch(ifMissing)
      if (bytes === undefined) return { n: n - 1, entry }
      const isClaim = bytes.subarray(0, CLAIM.length).toString() === CLAIM
      entry = isClaim ? { kind: 'claim', by: bytes.subarray(CLAIM.length).toString() } : { kind: 'mail' }
    }
  }

  /** False where another execution was quicker with this place. */
  async function add(key: string, n: number, bytes: Buffer): Promise<boolean> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const temp = join(directory, `.${randomUUID()}.tmp`)
    try {
      await writeDurably(temp, bytes)
      await link(temp, pathOf(key, n))
      return true
    } catch (error) {
      if (isExists(error)) return false
      throw error
    } finally {
      await rm(temp, { force: true })
    }
  }

  return {
    /** The path of the key's mail, written now or before. Throws where a later execution has claimed it. */
    async write(key: string, by: string, mail: Buffer): Promise<string> {
      for (;;) {
        const { n, entry } = await last(key)
        if (entry?.kind === 'mail') return pathOf(key, n)
        if (entry !== undefined && entry.by !== by)
          throw new Error('Another execution has taken this mail over.')
        if (await add(key, n + 1, mail)) return pathOf(key, n + 1)
      }
    },
    /** The path of the mail, if it was written; else nobody but `by` can write it from now on. */
    async claim(key: string, by: string): Promise<string | undefined> {
      for (;;) {
        const { n, entry } = await last(key)
        if (entry?.kind === 'mail') return pathOf(key, n)
        if (entry?.by === by || (await add(key, n + 1, Buffer.from(CLAIM + by)))) return undefined
      }
    },
  }
}

async function writeDurably(path: string, bytes: Buffer): Promise<void> {
  const handle = await open(path, 'wx', 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export function isExists(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST'
}

function ifMissing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
  throw error
}
