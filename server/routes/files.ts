import { z } from 'zod'
import type { Threads } from '../../runtime/ports.ts'
import type { Workspaces } from '../../runtime/workspaces.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json } from '../reply.ts'
import { FileEntry } from '../schemas/files.ts'
import { ThreadParams } from '../schemas/threads.ts'
import { findThread } from './threads.ts'

const FileParams = ThreadParams.extend({ path: z.string().min(1).max(1_024) })

/** A file's bytes are an agent's or a stranger's: no browser may take them for a page of ours. */
export const INERT = {
  'Content-Type': 'application/octet-stream',
  'Content-Disposition': 'attachment',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; sandbox",
}

export function fileRoutes({
  threads,
  workspaces,
}: {
  threads: Threads
  workspaces: Workspaces
}): Endpoint[] {
  const file = { path: '/threads/:thread_id/files/:path{.+}', tag: 'Files', params: FileParams } as const
  const REFUSED = {
    404: { description: 'No such thread or file' },
    422: { description: 'Not a path inside the workspace' },
  }
  return [
    endpoint({
      method: 'get',
      path: '/threads/:thread_id/files',
      tag: 'Files',
      access: 'threads:read',
      summary: "List the files of a thread's workspace",
      params: ThreadParams,
      answers: {
        200: { description: 'Files, by path', schema: z.array(FileEntry) },
        404: { description: 'No such thread' },
      },
      async handle(c, { params }) {
        await findThread(threads, params.thread_id)
        return json(c, await workspaces.list(params.thread_id))
      },
    }),
    endpoint({
      ...file,
      method: 'put',
      access: 'threads:update',
      summary: 'Write a file: the body is its bytes',
      answers: {
        200: { description: 'The file', schema: FileEntry },
        ...REFUSED,
        413: { description: 'Too large' },
      },
      async handle(c, { params }) {
        await findThread(threads, params.thread_id)
        return json(
          c,
          await workspaces.write(params.thread_id, params.path, new Uint8Array(await c.req.arrayBuffer())),
        )
      },
    }),
    endpoint({
      ...file,
      method: 'get',
      access: 'threads:read',
      summary: "Read a file's bytes",
      answers: { 200: { description: 'Its bytes', type: 'application/octet-stream' }, ...REFUSED },
      async handle(_c, { params }) {
        await findThread(threads, params.thread_id)
        const { bytes } = await workspaces.read(params.thread_id, params.path)
        return new Response(bytes as Uint8Array<ArrayBuffer>, { headers: INERT })
      },
    }),
    endpoint({
      ...file,
      method: 'delete',
      access: 'threads:update',
      summary: 'Delete a file',
      answers: { 204: { description: 'Deleted' }, ...REFUSED },
      async handle(c, { params }) {
        await findThread(threads, params.thread_id)
        await workspaces.remove(params.thread_id, params.path)
        return c.body(null, 204)
      },
    }),
  ]
}
