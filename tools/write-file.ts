import { createHash } from 'node:crypto'
import { z } from 'zod'
import { RuntimeError } from '../runtime/errors.ts'
import { WORKSPACES, type Workspaces } from '../runtime/workspaces.ts'
import { defineTool } from './define.ts'
import { unifiedDiff } from './unified-diff.ts'
import { forModel } from './workspace-errors.ts'

const MAX_CONTENT = 1_000_000
/** Characters of a diff: what is over is cut with a marker. Six of JSON for each fit in a preview. */
const MAX_DIFF = 9_000

export const writeFile = defineTool({
  name: 'write_file',
  description:
    'Creates or replaces a text file of this conversation, directories included, in one step. It does not append, ' +
    'does not write binary data, and writes no files outside of this conversation.',
  schema: z.object({
    path: z.string().min(1).max(1024).describe('Relative, such as "reports/2026.csv".'),
    content: z.string().max(MAX_CONTENT).describe('The whole new content.'),
  }),
  risk: 'low',
  effect: 'idempotent',

  async run({ path, content }, call) {
    const file = await forModel(call.service(WORKSPACES).write(call.threadId, path, Buffer.from(content)))
    return { path: file.path, size: file.size }
  },

  async preview({ path, content }, call) {
    const before = await forModel(bytesOf(call.service(WORKSPACES), call.threadId, path))
    return {
      kind: 'diff',
      path,
      before: before === undefined ? null : createHash('sha256').update(before).digest('hex'),
      text: cut(changeOf(before, content)),
    }
  },
})

/** `undefined`: there is no such file. */
async function bytesOf(files: Workspaces, threadId: string, path: string): Promise<Uint8Array | undefined> {
  try {
    return (await files.read(threadId, path)).bytes
  } catch (error) {
    if (error instanceof RuntimeError && error.code === 'file_not_found') return undefined
    throw error
  }
}

function changeOf(before: Uint8Array | undefined, content: string): string {
  const text = before === undefined ? '' : textOf(before)
  if (text !== undefined) return unifiedDiff(text, content)
  return `Replaces ${before?.length ?? 0} bytes that are no text.\n${unifiedDiff('', content)}`
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function cut(text: string): string {
  if (text.length <= MAX_DIFF) return text
  return `${text.slice(0, MAX_DIFF).toWellFormed()}\n… ${text.length - MAX_DIFF} more characters, not shown`
}
