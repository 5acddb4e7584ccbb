import { type Artifact, artifactIn } from '../runtime/artifact.ts'
import { LOWEST_LIMIT } from '../runtime/state-limits.ts'
import { jsonOf, ownerOf } from './chunks/chunk.ts'
import type { Queryable } from './database.ts'

// What is in several states of the thread, its subgraphs' and its pending tasks' is here once. Sizes are known without
// reading what has them.
const LARGE = `
  select hash::text as chunk, null as ns, null as channel, null as version,
    coalesce(octet_length(body), octet_length(bytes)) as size
  from checkpoint_chunks
  where thread_id = $1::uuid and refs is null and coalesce(octet_length(body), octet_length(bytes)) >= $3
  union all
  select null, checkpoint_ns, channel, version, octet_length(blob)
  from checkpoint_blobs where thread_id = $2 and octet_length(blob) >= $3
  order by size desc`

const CHUNK = `
  select case when body is null then 'bytes' end as type, body, bytes as blob
  from checkpoint_chunks where thread_id = $1::uuid and hash = $2::uuid`

const BLOB = `
  select type, null as body, blob from checkpoint_blobs
  where thread_id = $1 and checkpoint_ns = $2 and channel = $3 and version = $4`

interface LargeRow extends Record<string, unknown> {
  chunk: string | null
  ns: string
  channel: string
  version: string
}

interface StoredRow extends Record<string, unknown> {
  type: string | null
  body: string | null
  blob: Uint8Array | null
}

/** What has that hash in any state of the thread: the largest first, one at a time. */
export async function findArtifact(
  db: Queryable,
  threadId: string,
  sha256: string,
): Promise<Artifact | undefined> {
  const owner = ownerOf(threadId)
  const { rows } = await db.query<LargeRow>(LARGE, [owner, threadId, LOWEST_LIMIT])
  for (const { chunk, ns, channel, version } of rows) {
    const stored =
      chunk === null
        ? await db.query<StoredRow>(BLOB, [threadId, ns, channel, version])
        : await db.query<StoredRow>(CHUNK, [owner, chunk])
    const found = stored.rows[0] && artifactIn(valueOf(stored.rows[0]), sha256)
    if (found !== undefined) return found
  }
  return undefined
}

function valueOf({ type, body, blob }: StoredRow): unknown {
  if (body !== null) return JSON.parse(jsonOf(body))
  const bytes = Buffer.from(blob ?? [])
  return type === 'json' ? JSON.parse(bytes.toString('utf8')) : bytes
}
