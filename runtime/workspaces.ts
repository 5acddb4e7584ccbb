import { serviceKey } from './services.ts'

export interface FileEntry {
  /** Relative to the workspace, `/` between parts, never a leading one. */
  path: string
  /** Bytes. */
  size: number
  modified_at: string
}

/**
 * The files of each thread, apart from every other thread's. Paths are relative; a path that leaves the
 * workspace, passes through a link or names anything but a regular file is refused with
 * `RuntimeError('invalid_path')`, a missing file with `file_not_found`, a write over the quota with
 * `quota_exceeded`.
 */
export interface Workspaces {
  /** Every file below `path`, sorted by path. A workspace that was never written to is empty. */
  list(threadId: string, path?: string): Promise<FileEntry[]>
  /** At most `limit` bytes from byte `offset`, and the whole file's size. */
  read(
    threadId: string,
    path: string,
    range?: { offset?: number; limit?: number },
  ): Promise<{ bytes: Uint8Array; size: number }>
  /** Creates or replaces a file in one step: a reader sees the old bytes or the new ones. */
  write(threadId: string, path: string, bytes: Uint8Array): Promise<FileEntry>
  /** Replaces a file by what `change` makes of it; no other write of the thread comes between. */
  update(threadId: string, path: string, change: (before: Uint8Array) => Uint8Array): Promise<FileEntry>
  remove(threadId: string, path: string): Promise<void>
  /** Removes the thread's whole workspace. */
  clear(threadId: string): Promise<void>
}

export const WORKSPACES = serviceKey<Workspaces>('workspaces')
