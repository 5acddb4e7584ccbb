import { randomUUID } from 'node:crypto'
import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

interface Holder {
  pid: number
  /** When the process started, as the kernel counts it: a process id alone may have been given away again. */
  started: string | null
}

/** Takes the directory for this process, or throws with the process that has it. A dead process's lock is taken over. */
export async function lockDirectory(dir: string): Promise<{ release(): Promise<void> }> {
  const path = join(dir, 'lock')
  const mine = join(dir, `lock.${randomUUID()}`)
  await writeFile(
    mine,
    JSON.stringify({ pid: process.pid, started: await startOf(process.pid) } satisfies Holder),
  )
  try {
    for (;;) {
      // A hard link appears whole or not at all, so that nobody ever reads half a lock.
      if (await succeeds(link(mine, path), 'EEXIST')) return { release: () => unlink(path).catch(() => {}) }
      const text = await readFile(path, 'utf8').catch(() => undefined)
      if (text === undefined) continue
      const holder = parse(text)
      if (holder !== undefined && (await isAlive(holder))) {
        throw new Error(
          `Data directory ${dir} is in use by process ${holder.pid}. Stop it, or set HOLDPOINT_DATA_DIR to another directory.`,
        )
      }
      await removeStale(path, text)
    }
  } finally {
    await unlink(mine)
  }
}

/** Removes the lock only if it is still the one that was read: a quicker process may have put its own there. */
async function removeStale(path: string, text: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`
  if (!(await succeeds(rename(path, aside), 'ENOENT'))) return
  if ((await readFile(aside, 'utf8')) !== text) await succeeds(link(aside, path), 'EEXIST')
  await unlink(aside)
}

function parse(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder
  } catch {
    return undefined
  }
}

async function isAlive(holder: Holder): Promise<boolean> {
  if (holder.pid === process.pid)
    return holder.started === (await startOf(process.pid)) && holder.started !== null
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const started = await startOf(holder.pid)
  return holder.started === null || started === null || started === holder.started
}

/** Linux says when a process started (field 22 of its stat, after the name in brackets); elsewhere the pid must do. */
async function startOf(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
}

async function succeeds(action: Promise<void>, expected: string): Promise<boolean> {
  try {
    await action
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === expected) return false
    throw error
  }
}
