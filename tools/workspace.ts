import { randomUUID } from 'node:crypto'
import type { Dirent } from 'node:fs'
import { lstat, mkdir, readdir, rename, rm, rmdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '../runtime/errors.ts'
import { isUuid } from '../runtime/ids.ts'
import type { FileEntry, Workspaces } from '../runtime/workspaces.ts'
import {
  type Directory,
  ifMissing,
  ifPresent,
  inDirectory,
  invalid,
  kindOf,
  notFound,
  openFile,
  splitPath,
  TEMP_PREFIX,
} from './workspace-path.ts'

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
    const parts = splitPath(path)
    const found = await inParent(directoryOf(root, threadId), parts, async (directory, name) => {
      const file = await openFile(directory, name)
      if (file === undefined) return undefined
      try {
        const { size } = await file.stat()
        const length = Math.max(0, Math.min(limit, size - offset))
        const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
        return { bytes: new Uint8Array(buffer.subarray(0, bytesRead)), size }
      } finally {
        await file.close()
      }
    })
    if (found === undefined) throw notFound(parts)
    return found
  }

  async function list(threadId: string, path?: string): Promise<FileEntry[]> {
    const base = directoryOf(root, threadId)
    const parts = path === undefined || path === '' || path === '.' ? [] : splitPath(path.replace(/\/$/, ''))
    const files = parts.length === 0 ? await walk(base, []) : await listAt(base, parts)
    return (files ?? []).sort((a, b) => (a.path < b.path ? -1 : 1))
  }

  async function write(threadId: string, path: string, bytes: Uint8Array): Promise<FileEntry> {
    const base = directoryOf(root, threadId)
    const parts = splitPath(path)
    const kind = await inParent(base, parts, kindOf)
    if (kind === 'directory') throw invalid(`${path} is a directory.`)
    checkQuota(await list(threadId), path, bytes.byteLength)
    await mkdir(root, { recursive: true, mode: 0o700 })
    await mkdir(base, { mode: 0o700 }).catch(ifPresent)
    await inParent(base, parts, (directory, name) => replace(directory, name, bytes), { make: true })
    return { path, size: bytes.byteLength, modified_at: new Date().toISOString() }
  }

  async function update(threadId: string, path: string, change: (before: Uint8Array) => Uint8Array) {
    const { bytes } = await read(threadId, path)
    return await write(threadId, path, change(bytes))
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
    const kind = await inParent(base, parts, async (directory, name) => {
      const kind = await kindOf(directory, name)
      if (kind === 'file') await unlink(directory.at(name))
      return kind
    })
    if (kind === undefined) throw notFound(parts)
    if (kind === 'directory') throw invalid(`${path} is a directory. Remove its files one by one.`)
    for (let depth = parts.length - 1; depth > 0; depth--) {
      const removed = await inParent(base, parts.slice(0, depth), async (directory, name) => {
        await rmdir(directory.at(name))
        return true
      }).catch(() => false)
      if (removed !== true) return
    }
  }

  return {
    list,
    read,
    write: (threadId, path, bytes) => inTurn(threadId, () => write(threadId, path, bytes)),
    update: (threadId, path, change) => inTurn(threadId, () => update(threadId, path, change)),
    remove: (threadId, path) => inTurn(threadId, () => remove(threadId, path)),
    clear: (threadId) =>
      inTurn(threadId, () => rm(directoryOf(root, threadId), { recursive: true, force: true })),
  }
}

function directoryOf(root: string, threadId: string): string {
  if (!isUuid(threadId)) throw invalid('The thread id is not a UUID.')
  return join(root, threadId.toLowerCase())
}

/** Does `work` with the last part in the directory of the others. */
function inParent<T>(
  base: string,
  parts: string[],
  work: (directory: Directory, name: string) => Promise<T>,
  options?: { make: boolean },
): Promise<T | undefined> {
  return inDirectory(base, parts.slice(0, -1), (parent) => work(parent, parts.at(-1) ?? ''), options)
}

/** One rename: a reader sees the old bytes or the new ones. */
async function replace(directory: Directory, name: string, bytes: Uint8Array): Promise<void> {
  const temp = directory.at(TEMP_PREFIX + randomUUID())
  try {
    await writeFile(temp, bytes, { flag: 'wx', mode: 0o600 })
    await rename(temp, directory.at(name))
  } catch (cause) {
    await rm(temp, { force: true })
    throw cause
  }
}

async function listAt(base: string, parts: string[]): Promise<FileEntry[]> {
  const kind = await inParent(base, parts, kindOf)
  if (kind === undefined) throw notFound(parts)
  if (kind === 'directory') return await walk(base, parts)
  const entry = await inParent(base, parts, (directory, name) => entryOf(directory, name, parts))
  return entry === undefined ? [] : [entry]
}

async function walk(base: string, parts: string[]): Promise<FileEntry[]> {
  const found = await inDirectory(base, parts, (directory) => entriesOf(directory, parts))
  return found ?? []
}

async function entriesOf(directory: Directory, parts: string[]): Promise<FileEntry[]> {
  const entries: Dirent[] = await readdir(directory.path, { withFileTypes: true })
  const found: FileEntry[] = []
  for (const { name } of entries) {
    if (name.startsWith(TEMP_PREFIX)) continue
    const inside = [...parts, name]
    const stat = await lstat(directory.at(name)).catch(ifMissing)
    // Another may take its place here as well: it is opened as no link, or not at all.
    if (stat?.isDirectory())
      found.push(
        ...((await inDirectory(directory.at(name), [], (child) => entriesOf(child, inside)).catch(ifLink)) ??
          []),
      )
    else found.push(...[await entryOf(directory, name, inside)].filter((entry) => entry !== undefined))
  }
  return found
}

/** It became one since it was seen. */
function ifLink(error: unknown): undefined {
  if (!(error instanceof RuntimeError)) throw error
}

async function entryOf(directory: Directory, name: string, parts: string[]): Promise<FileEntry | undefined> {
  const stat = await lstat(directory.at(name)).catch(ifMissing)
  if (stat === undefined || !stat.isFile() || stat.nlink !== 1) return undefined
  return { path: parts.join('/'), size: stat.size, modified_at: stat.mtime.toISOString() }
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
