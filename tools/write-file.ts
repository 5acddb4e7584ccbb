import { z } from 'zod'
import { WORKSPACES } from '../runtime/workspaces.ts'
import { defineTool } from './define.ts'
import { bytesOf, previewOfChange } from './file-text.ts'
import { forModel } from './workspace-errors.ts'

const MAX_CONTENT = 1_000_000

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
    return previewOfChange(path, before, content)
  },
})
