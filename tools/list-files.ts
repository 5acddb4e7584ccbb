import { z } from 'zod'
import { WORKSPACES } from '../runtime/workspaces.ts'
import { defineTool } from './define.ts'
import { forModel } from './workspace-errors.ts'

export const listFiles = defineTool({
  name: 'list_files',
  description:
    'Lists the files of this conversation with their sizes in bytes, those in subdirectories included. It does not ' +
    'show their content, and sees no files outside of this conversation.',
  schema: z.object({
    path: z.string().max(1024).optional().describe('A directory, relative; without it, everything.'),
  }),
  risk: 'low',
  effect: 'none',

  async run({ path }, call) {
    const files = await forModel(call.service(WORKSPACES).list(call.threadId, path))
    return { files: files.map((file) => ({ path: file.path, size: file.size })) }
  },
})
