import { z } from 'zod'
import { WORKSPACES } from '../runtime/workspaces.ts'
import { defineTool, ToolError } from './define.ts'
import { bytesOf, previewOfChange } from './file-text.ts'
import { forModel } from './workspace-errors.ts'

export const deleteFile = defineTool({
  name: 'delete_file',
  description:
    'Deletes one file of this conversation, after a person has agreed. It deletes no directories, no patterns and no ' +
    'files outside of this conversation, and nothing brings the file back.',
  schema: z.object({ path: z.string().min(1).max(1024).describe('Relative, such as "reports/2026.csv".') }),
  risk: 'medium',
  effect: 'once',

  async run({ path }, call) {
    await forModel(call.service(WORKSPACES).remove(call.threadId, path))
    return { path, deleted: true }
  },

  // Whoever was about to delete it, and is late, deletes what this call deletes.
  async probe({ path }, call) {
    const left = await forModel(bytesOf(call.service(WORKSPACES), call.threadId, path))
    if (left !== undefined) return { state: 'can_no_longer_happen' }
    return { state: 'happened', result: { path, deleted: true } }
  },

  async preview({ path }, call) {
    const before = await forModel(bytesOf(call.service(WORKSPACES), call.threadId, path))
    if (before === undefined) throw new ToolError('INVALID_ARGS', `${path} does not exist.`)
    return previewOfChange(path, before, undefined)
  },
})
