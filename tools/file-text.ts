import { createHash } from 'node:crypto'
import { RuntimeError } from '../runtime/errors.ts'
import type { Preview } from '../runtime/preview.ts'
import type { Workspaces } from '../runtime/workspaces.ts'
import { unifiedDiff } from './unified-diff.ts'

/** Characters of a diff: what is over is cut with a marker. Six of JSON for each fit in a preview. */
const MAX_DIFF = 9_000

/** What a file would become, for whoever is asked to release it. `after`: `undefined` where it is deleted. */
export function previewOfChange(
  path: string,
  before: Uint8Array | undefined,
  after: string | undefined,
): Preview {
  return {
    kind: 'diff',
    path,
    before: before === undefined ? null : createHash('sha256').update(before).digest('hex'),
    text: cut(changeOf(before, after)),
  }
}

/** `undefined`: there is no such file. */
export async function bytesOf(
  files: Workspaces,
  threadId: string,
  path: string,
): Promise<Uint8Array | undefined> {
  try {
    return (await files.read(threadId, path)).bytes
  } catch (error) {
    if (error instanceof RuntimeError && error.code === 'file_not_found') return undefined
    throw error
  }
}

/** `undefined`: it is no text. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function changeOf(before: Uint8Array | undefined, after: string | undefined): string {
  const text = before === undefined ? '' : textOf(before)
  if (text !== undefined) return unifiedDiff(text, after ?? '')
  const verb = after === undefined ? 'Deletes' : 'Replaces'
  return `${verb} ${before?.length ?? 0} bytes that are no text.\n${unifiedDiff('', after ?? '')}`
}

function cut(text: string): string {
  if (text.length <= MAX_DIFF) return text
  return `${text.slice(0, MAX_DIFF).toWellFormed()}\n… ${text.length - MAX_DIFF} more characters, not shown`
}
