import { z } from 'zod'
import { WORKSPACES } from '../runtime/workspaces.ts'
import { defineTool, ToolError } from './define.ts'
import { bytesOf, previewOfChange, textOf } from './file-text.ts'
import { forModel } from './workspace-errors.ts'

const MAX_TEXT = 100_000

const schema = z.object({
  path: z.string().min(1).max(1024).describe('Relative, such as "reports/2026.csv".'),
  old_text: z
    .string()
    .min(1)
    .max(MAX_TEXT)
    .describe('Exactly as it stands in the file, and there only once.'),
  new_text: z.string().max(MAX_TEXT).describe('What stands there instead.'),
})
type Args = z.output<typeof schema>

export const editFile = defineTool({
  name: 'edit_file',
  description:
    'Replaces one passage of a text file of this conversation. The passage is given exactly, with its spaces and line ' +
    'breaks, and has to stand in the file once: give more of what is around it where it does not. It uses no patterns, ' +
    'creates no files, and edits no files outside of this conversation.',
  schema,
  risk: 'low',
  // A second time it finds its own work, and leaves it.
  effect: 'idempotent',

  async run(args, call) {
    let changed = true
    const file = await forModel(
      call.service(WORKSPACES).update(call.threadId, args.path, (before) => {
        const after = edited(before, args)
        changed = after !== undefined
        return after === undefined ? before : Buffer.from(after)
      }),
    )
    return { path: file.path, size: file.size, changed }
  },

  async preview(args, call) {
    const before = await forModel(bytesOf(call.service(WORKSPACES), call.threadId, args.path))
    if (before === undefined) throw new ToolError('INVALID_ARGS', `${args.path} does not exist.`)
    return previewOfChange(args.path, before, edited(before, args) ?? textOf(before))
  },
})

/** `undefined`: what would be there is there. Throws where it is not clear what is meant. */
function edited(bytes: Uint8Array, { path, old_text, new_text }: Args): string | undefined {
  const text = textOf(bytes)
  if (text === undefined) throw new ToolError('INVALID_ARGS', `${path} is no UTF-8 text.`)
  if (isDone(text, old_text, new_text)) return undefined
  const at = text.indexOf(old_text)
  if (at < 0)
    throw new ToolError(
      'INVALID_ARGS',
      `old_text does not stand in ${path}. Read the file, and copy it exactly.`,
    )
  if (text.includes(old_text, at + 1))
    throw new ToolError(
      'INVALID_ARGS',
      `old_text stands in ${path} more than once. Give more of the lines around it.`,
    )
  return text.slice(0, at) + new_text + text.slice(at + old_text.length)
}

/** Every old passage that is left is a part of a new one, and there is a new one. */
function isDone(text: string, old: string, replacement: string): boolean {
  return replacement !== '' && text.includes(replacement) && !text.replaceAll(replacement, '').includes(old)
}
