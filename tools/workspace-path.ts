import { constants } from 'node:fs'
import { lstat, open, type FileHandle } from 'node:fs/promises'
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
 * What stands at the end of `parts` below `base`, after every component was seen not to be a link; `undefined`
 * where one of them does not exist.
 */
export async function locate(base: string, parts: string[]): Promise<'file' | 'directory' | undefined> {
  let at = base
  let kind: 'file' | 'directory' = 'directory'
  for (const part of ['', ...parts]) {
    if (kind === 'file') throw invalid('A part of the path is a file, not a directory.')
    at = join(at, part)
    const stat = await lstat(at).catch(ifMissing)
    if (stat === undefined) return undefined
    if (stat.isDirectory()) kind = 'directory'
    else if (stat.isFile() && stat.nlink === 1) kind = 'file'
    else throw invalid('The path passes through a link, or names something that is not a regular file.')
  }
  return kind
}

/**
 * Opens a regular file with one name, seen to be that both before and after it is open: what a guest swaps in
 * between is refused. Throws `file_not_found` and `invalid_path`.
 */
export async function openFile(base: string, parts: string[]): Promise<FileHandle> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const kind = await locate(base, parts)
    if (kind === undefined) throw notFound(parts)
    if (kind === 'directory') throw invalid(`${parts.join('/')} is a directory. Name a file in it.`)
    const file = await openLocated(base, parts)
    if (file !== undefined) return file
  }
  throw invalid('The file changes while it is being opened.')
}

/** `undefined`: the file was replaced in the meantime, by a write of the same thread most likely. */
async function openLocated(base: string, parts: string[]): Promise<FileHandle | undefined> {
  const path = join(base, ...parts)
  // O_NONBLOCK: a pipe that took the file's place must not block the open for ever.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const file = await open(path, flags).catch((cause: unknown) => {
    if (!isMissing(cause)) throw invalid('The file cannot be opened.', cause)
  })
  if (file === undefined) return undefined
  try {
    const opened = await file.stat()
    await locate(base, parts)
    const named = await lstat(path).catch(ifMissing)
    const same = opened.ino === named?.ino && opened.dev === named.dev
    if (same && opened.isFile() && opened.nlink === 1) return file
  } catch (cause) {
    await file.close()
    throw cause
  }
  await file.close()
  return undefined
}

export function invalid(message: string, cause?: unknown): RuntimeError {
  return new RuntimeError('invalid_path', `${message} ${HINT}`, { cause })
}

export function notFound(parts: string[]): RuntimeError {
  const name = parts.join('/')
  return new RuntimeError('file_not_found', `${name} does not exist. List the files to see which do.`)
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

export function ifMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error
}
