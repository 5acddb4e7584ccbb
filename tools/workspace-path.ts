import { constants } from 'node:fs'
import { lstat, mkdir, open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '../runtime/errors.ts'

/** A file being written. No path of a user may have such a part, so the two never meet. */
export const TEMP_PREFIX = '.holdpoint-tmp-'

const MAX_PATH_BYTES = 1024
const MAX_PART_BYTES = 255
/** Bounds the directories that a thousand files can bring with them. */
const MAX_DEPTH = 32

/** A thread's own writes replace files, and on a busy machine several in the time of one open. */
const ATTEMPTS = 20

/** Opens a directory and no link; never waits. */
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** O_NONBLOCK: a pipe that took the file's place must not block the open for ever. */
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

const HINT = 'Use a path relative to the workspace, such as "reports/2026.csv".'

/** The parts of a path that a model, a guest or a client wrote. Throws `invalid_path`. */
export function splitPath(path: string): string[] {
  if (path === '') throw invalid('The path is empty.')
  if (path.startsWith('/') || /^[a-z]:/i.test(path)) throw invalid('Absolute paths are not allowed.')
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f\\]/.test(path)) throw invalid('The path has a backslash or a control character.')
  if (!path.isWellFormed()) throw invalid('The path is not valid Unicode.')
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw invalid(`The path is longer than ${MAX_PATH_BYTES} bytes.`)
  const parts = path.split('/')
  if (parts.length > MAX_DEPTH) throw invalid(`The path is more than ${MAX_DEPTH} levels deep.`)
  parts.forEach(checkPart)
  return parts
}

function checkPart(part: string): void {
  if (part === '') throw invalid('The path has an empty part.')
  if (part === '.' || part === '..') throw invalid('The path has a "." or ".." part.')
  if (Buffer.byteLength(part) > MAX_PART_BYTES)
    throw invalid(`A part of the path is longer than ${MAX_PART_BYTES} bytes.`)
  if (part.startsWith(TEMP_PREFIX)) throw invalid(`Names that start with ${TEMP_PREFIX} are reserved.`)
}

/**
 * A directory that is open. On Linux what is named in it is looked up in it, even if a link has taken its place by then;
 * elsewhere a name is looked up by its path.
 */
export interface Directory {
  at(name: string): string
  path: string
}

/**
 * Does `work` in the directory below `base` that `parts` lead to, each opened in the one before and none of them a
 * link; `undefined` where one does not exist. `make`: those that do not exist are made.
 */
export async function inDirectory<T>(
  base: string,
  parts: string[],
  work: (directory: Directory) => Promise<T>,
  { make = false } = {},
): Promise<T | undefined> {
  const name = parts.at(-1)
  const inParent = async (parent: Directory | undefined) => {
    const path = parent === undefined || name === undefined ? base : parent.at(name)
    if (make && parent !== undefined) await mkdir(path, { mode: 0o700 }).catch(ifPresent)
    const handle = await open(path, DIRECTORY).catch(ifMissing).catch(notADirectory)
    if (handle === undefined) return undefined
    try {
      const own = process.platform === 'linux' ? `/proc/self/fd/${handle.fd}` : path
      return await work({ at: (inside) => join(own, inside), path: own })
    } finally {
      await handle.close()
    }
  }
  if (name === undefined) return await inParent(undefined)
  return await inDirectory(base, parts.slice(0, -1), inParent, { make })
}

/** What stands there, which is neither a link nor has a second name; `undefined` where nothing does. */
export async function kindOf(directory: Directory, name: string): Promise<'file' | 'directory' | undefined> {
  const stat = await lstat(directory.at(name)).catch(ifMissing)
  if (stat === undefined) return undefined
  if (stat.isDirectory()) return 'directory'
  if (stat.isFile() && stat.nlink === 1) return 'file'
  throw invalid(ODD)
}

/**
 * Opens a regular file with one name, which is judged once it is open: nothing can take its place any more. Throws
 * `invalid_path`; `undefined` where there is none.
 */
export async function openFile(directory: Directory, name: string): Promise<FileHandle | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const file = await open(directory.at(name), FILE).catch(ifMissing).catch(cannotOpen)
    if (file === undefined) return undefined
    const stat = await file.stat()
    if (stat.isFile() && stat.nlink === 1) return file
    await file.close()
    if (stat.isDirectory()) throw invalid(`${name} is a directory. Name a file in it.`)
    // Without a name it was replaced since it was opened, by a write of the same thread most likely.
    if (!stat.isFile() || stat.nlink > 1) throw invalid(ODD)
  }
  throw invalid('The file changes while it is being opened.')
}

const ODD = 'The path passes through a link, or names something that is not a regular file.'

function notADirectory(cause: unknown): never {
  if (hasCode(cause, 'ENOTDIR', 'ELOOP', 'EMLINK'))
    throw invalid('A part of the path is a link, or a file and not a directory.', cause)
  throw cause
}

function cannotOpen(cause: unknown): never {
  throw invalid('The file cannot be opened.', cause)
}

export function invalid(message: string, cause?: unknown): RuntimeError {
  return new RuntimeError('invalid_path', `${message} ${HINT}`, { cause })
}

export function notFound(parts: string[]): RuntimeError {
  const name = parts.join('/')
  return new RuntimeError('file_not_found', `${name} does not exist. List the files to see which do.`)
}

export function ifMissing(error: unknown): undefined {
  if (!hasCode(error, 'ENOENT')) throw error
}

export function ifPresent(error: unknown): void {
  if (!hasCode(error, 'EEXIST')) throw error
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
