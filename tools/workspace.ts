import { randomUUID } from 'node:crypto'
import type { Dirent } from 'node:fs'
import { lstat, mkdir, readdir, rename, rm, rmdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '../runtime/errors.ts'
import { isUuid } from '../runtime/ids.ts'
import type { FileEntry, Workspaces } from '../runtime/workspaces.ts'
import { ifMissing, invalid, locate, notFound, openFile, splitPath, TEMP_PREFIX } from './workspace-path.ts'

export interface WorkspaceLimits {
  /** Bytes of all files of one thread. */
  quotaBytes?: number
  maxFiles?: number
  maxFileBytes?: number
}

const MIB = 1024 * 1024

/**
 * Workspaces as one directory per thread below `root`, which is created at the first write. A write is a rename
 * without fsync: readers never see half a file, a power cut may lose the last one.
 */
export function createWorkspaces(root: string, limits: WorkspaceLimits = {}): Workspaces {
  const { quotaBytes = 64 * MIB, maxFiles = 1000, maxFileBytes = 16 * MIB } = limits
  const inTurn = createTurns()

  async function read(threadId: string, path: string, { offset = 0, limit = maxFileBytes } = {}) {
    const file = await openFile(directoryOf(root, threadId), splitPath(path))
    try {
      const { size } = await file.stat()
      const length = Math.max(0, Math.min(limit, size - offset))
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
      return { bytes: new Uint8Array(buffer.subarray(0, bytesRead)), size }
    } finally {
      await file.close()
    }
  }

  async function list(threadId: string, path?: string): Promise<FileEntry[]> {
    const base = directoryOf(root, threadId)
    const parts = path === undefined || path === '' || path === '.' ? [] : splitPath(path.replace(/\/$/, ''))
    const kind = await locate(base, parts)
    if (kind === undefined && parts.length > 0) throw notFound(parts)
    const files = kind === 'file' ? [await entryOf(base, parts)] : await walk(base, parts)
    return files.filter((file) => file !== undefined).sort((a, b) => (a.path < b.path ? -1 : 1))
  }

  async function write(threadId: string, path: string, bytes: Uint8Array): Promise<FileEntry> {
    const base = directoryOf(root, threadId)
    const parts = splitPath(path)
    if ((await locate(base, parts)) === 'directory') throw invalid(`${path} is a directory.`)
    checkQuota(await list(threadId), path, bytes.byteLength)
    await makeDirectories(base, parts.slice(0, -1))
    const temp = join(base, ...parts.slice(0, -1), TEMP_PREFIX + randomUUID())
    try {
      await writeFile(temp, bytes, { flag: 'wx', mode: 0o600 })
      await locate(base, parts)
      await rename(temp, join(base, ...parts))
    } catch (cause) {
      await rm(temp, { force: true })
      throw cause
    }
    return { path, size: bytes.byteLength, modified_at: new Date().toISOString() }
  }

  function checkQuota(files: FileEntry[], path: string, size: number): void {
    if (size > maxFileBytes) throw overQuota(`A file may have ${maxFileBytes} bytes, this one has ${size}.`)
    const others = files.filter((file) => file.path !== path)
    if (others.length >= maxFiles) throw overQuota(`The workspace already holds ${maxFiles} files.`)
    const used = others.reduce((sum, file) => sum + file.size, 0)
    if (used + size > quotaBytes) {
      throw overQuota(`The workspace holds ${used} of ${quotaBytes} bytes, ${size} more do not fit.`)
    }
  }

  async function remove(threadId: string, path: string): Promise<void> {
    const base = directoryOf(root, threadId)
    const parts = splitPath(path)
    const kind = await locate(base, parts)
    if (kind === undefined) throw notFound(parts)
    if (kind === 'directory') throw invalid(`${path} is a directory. Remove its files one by one.`)
    await unlink(join(base, ...parts))
    for (let depth = parts.length - 1; depth > 0; depth--) {
      const removed = await rmdir(join(base, ...parts.slice(0, depth))).then(
        () => true,
        () => false,
      )
      if (!removed) return
    }
  }

  return {
    list,
    read,
    write: (threadId, path, bytes) => inTurn(threadId, () => write(threadId, path, bytes)),
    remove: (threadId, path) => inTurn(threadId, () => remove(threadId, path)),
    clear: (threadId) =>
      inTurn(threadId, () => rm(directoryOf(root, threadId), { recursive: true, force: true })),
  }
}

function directoryOf(root: string, threadId: string): string {
  if (!isUuid(threadId)) throw invalid('The thread id is not a UUID.')
  return join(root, threadId.toLowerCase())
}

async function walk(base: string, parts: string[]): Promise<(FileEntry | undefined)[]> {
  const entries: Dirent[] =
    (await readdir(join(base, ...parts), { withFileTypes: true }).catch(ifMissing)) ?? []
  const visible = entries.filter((entry) => !entry.name.startsWith(TEMP_PREFIX))
  const found = await Promise.all(
    visible.map(async (entry) => {
      const inside = [...parts, entry.name]
      return entry.isDirectory() ? walk(base, inside) : [await entryOf(base, inside)]
    }),
  )
  return found.flat()
}

async function entryOf(base: string, parts: string[]): Promise<FileEntry | undefined> {
  const stat = await lstat(join(base, ...parts)).catch(ifMissing)
  if (stat === undefined || !stat.isFile() || stat.nlink !== 1) return undefined
  return { path: parts.join('/'), size: stat.size, modified_at: stat.mtime.toISOString() }
}

async function makeDirectories(base: string, parts: string[]): Promise<void> {
  await mkdir(base, { recursive: true, mode: 0o700 })
  for (let depth = 1; depth <= parts.length; depth++) {
    await mkdir(join(base, ...parts.slice(0, depth)), { mode: 0o700 }).catch(ifPresent)
  }
  await locate(base, parts)
}

function ifPresent(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
}

function overQuota(message: string): RuntimeError {
  return new RuntimeError('quota_exceeded', `${message} Write less, or remove files first.`)
}

/** One task at a time per thread, so that two writes cannot both fit into the last free bytes. */
function createTurns() {
  const last = new Map<string, Promise<unknown>>()
  return function inTurn<T>(threadId: string, task: () => Promise<T>): Promise<T> {
    const turn = (last.get(threadId) ?? Promise.resolve()).then(task, task)
    const settled = turn
      .catch(() => undefined)
      .finally(() => {
        if (last.get(threadId) === settled) last.delete(threadId)
      })
    last.set(threadId, settled)
    return turn
  }
}
