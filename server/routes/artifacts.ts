import { z } from 'zod'
import { bytesOf } from '../../runtime/artifact.ts'
import type { Checkpoints } from '../../runtime/checkpoints.ts'
import { RuntimeError } from '../../runtime/errors.ts'
import type { Threads } from '../../runtime/ports.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { ThreadParams } from '../schemas/threads.ts'
import { INERT } from './files.ts'
import { findThread } from './threads.ts'

const ArtifactParams = ThreadParams.extend({ sha256: z.string().regex(/^[0-9a-f]{64}$/) })

/** What states and events have a reference to: `artifact:sha256:HASH:BYTES` (docs/storage.md). */
export function artifactRoute({
  threads,
  checkpoints,
}: {
  threads: Threads
  checkpoints: Checkpoints
}): Endpoint {
  return endpoint({
    method: 'get',
    path: '/threads/:thread_id/artifacts/:sha256',
    tag: 'State',
    access: 'threads:read',
    summary: 'What a reference in a state or an event stands for, which is too large to be told each time',
    params: ArtifactParams,
    answers: {
      200: {
        description: 'Its bytes; of a text, in UTF-8',
        type: 'application/octet-stream',
      },
      404: { description: 'No such thread, or no state of it has that' },
    },
    async handle(_c, { params }) {
      const { thread_id: threadId } = await findThread(threads, params.thread_id)
      const artifact = await checkpoints.artifact(threadId, params.sha256)
      if (artifact === undefined)
        throw new RuntimeError(
          'artifact_not_found',
          `No state of thread ${threadId} has what ${params.sha256} names. While its run goes on it may come; what was pruned is gone.`,
        )
      return new Response(bytesOf(artifact) as Uint8Array<ArrayBuffer>, { headers: INERT })
    },
  })
}
