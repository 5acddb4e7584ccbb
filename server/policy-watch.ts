import { type FSWatcher, watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Log } from '../runtime/ports.ts'
import { loadPolicy, type ReadPolicy } from './policy-file.ts'

/** File systems of containers and networks tell of no change. */
const LOOK_MS = 2_000

export interface PolicyOptions<Policy> {
  read: ReadPolicy<Policy>
  /** In force where there is no file. */
  none: Policy
  log: Log
}

export interface CurrentPolicy<Policy> {
  current(): Policy
  /** From now on `tell` gets the version in force, once for each; one that it throws for, again. */
  follow(tell: (version: string) => Promise<void>): Promise<void>
  close(): void
}

/** The policy of the file, and what it says after each change. One that is wrong throws here, and later changes nothing. */
export async function openPolicy<Policy extends { version: string }>(
  file: string | undefined,
  { read, none, log }: PolicyOptions<Policy>,
): Promise<CurrentPolicy<Policy>> {
  let seen = file === undefined ? undefined : await textOf(file)
  let policy = file === undefined ? none : await loadPolicy(file, read)
  let told: string | undefined
  let tell: (version: string) => Promise<void> = () => Promise.resolve()

  async function announce(): Promise<void> {
    const { version } = policy
    if (told === version) return
    await tell(version)
    told = version
  }

  async function look(): Promise<void> {
    if (file !== undefined) {
      const text = await textOf(file)
      if (text !== seen) {
        seen = text
        try {
          policy = await loadPolicy(file, read)
          log.info('The policy was read anew', { file, version: policy.version })
        } catch (error) {
          log.warn('The policy of before stays', { cause: (error as Error).message, version: policy.version })
        }
      }
    }
    await announce().catch((error: unknown) =>
      log.warn('The change of the policy is not recorded yet', { cause: String(error) }),
    )
  }

  const looking = onceAtATime(look)
  const timer = setInterval(looking, LOOK_MS).unref()
  const watcher = file === undefined ? undefined : watchFolder(dirname(file), looking)
  return {
    current: () => policy,
    async follow(teller) {
      tell = teller
      await announce()
    },
    close() {
      clearInterval(timer)
      watcher?.close()
    },
  }
}

/** The system may have no watch left, and the folder may go away: the timer looks all the same. */
function watchFolder(folder: string, changed: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, changed)
    return watcher.on('error', () => watcher.close())
  } catch {
    return undefined
  }
}

async function textOf(file: string): Promise<string | undefined> {
  return await readFile(file, 'utf8').catch(() => undefined)
}

/** Asked while it works, it works once more. */
function onceAtATime(work: () => Promise<void>): () => void {
  let working = false
  let again = false
  const begin = (): void => {
    if (working) {
      again = true
      return
    }
    working = true
    void work().finally(() => {
      working = false
      if (!again) return
      again = false
      begin()
    })
  }
  return begin
}
