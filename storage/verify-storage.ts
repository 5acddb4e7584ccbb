import { bytesChunk, jsonChunk, jsonOf, OWNER, pageChunk } from './chunks/chunk.ts'
import { refsIn } from './chunks/rows.ts'
import { connect, type Place } from './connect.ts'
import type { Queryable } from './database.ts'

// One moment of the database for all that is read.
const ONE_MOMENT = 'set transaction isolation level repeatable read, read only'

// A reference that nothing is behind: in a checkpoint, in what a task wrote, in a page.
const DANGLING = `
  with referred as (
    select 'checkpoint' as what, thread_id, checkpoint_id as id, ${OWNER} as owner, unnest(refs) as hash from checkpoints
    union all
    select 'write', thread_id, checkpoint_id, ${OWNER}, unnest(refs) from checkpoint_writes
    union all
    select 'page', thread_id::text, hash::text, thread_id, unnest(refs) from checkpoint_chunks
  )
  select what, thread_id, id, hash::text as hash from referred r
  where not exists (select 1 from checkpoint_chunks c where c.thread_id = r.owner and c.hash = r.hash)
  limit 1000`

// A page is as many as have eight megabytes together, and one at least: their sizes are known without reading them.
const CHUNKS = `
  select thread_id::text as thread_id, hash::text as hash, body, bytes, array_to_string(refs, ',') as refs
  from (
    select c.*, sum(coalesce(octet_length(body), 0) + coalesce(octet_length(bytes), 0))
      over (order by thread_id, hash rows between unbounded preceding and 1 preceding) as before
    from (
      select * from checkpoint_chunks where (thread_id, hash) > ($1::uuid, $2::uuid)
      order by thread_id, hash limit 1000
    ) c
  ) page
  where coalesce(before, 0) < 8000000
  order by page.thread_id, page.hash`

const HAS_CHUNKS = `select to_regclass('checkpoint_chunks') is not null as found`

export interface StorageVerified {
  chunks: number
  /** A line each. */
  faults: string[]
}

interface ChunkRow extends Record<string, unknown> {
  thread_id: string
  hash: string
  body: string | null
  bytes: Uint8Array | null
  refs: string | null
}

/** Looks for references to chunks that are not there, and for chunks that are not what their names say. Changes nothing. */
export async function verifyStorage(place: Place): Promise<StorageVerified> {
  const connection = await connect(place)
  try {
    const { rows } = await connection.query<{ found: boolean }>(HAS_CHUNKS)
    if (rows[0]?.found !== true)
      throw new Error(
        'The database has no chunks yet. Start the server on it once, which brings it up to date.',
      )
    return await connection.transaction(async (client) => {
      await client.query(ONE_MOMENT)
      return await verifyIn(client)
    })
  } finally {
    await connection.close()
  }
}

export async function verifyIn(db: Queryable): Promise<StorageVerified> {
  const dangling = await db.query<{ what: string; thread_id: string; id: string; hash: string }>(DANGLING)
  const faults = dangling.rows.map(
    ({ what, thread_id, id, hash }) =>
      `thread ${thread_id}: ${what} ${id} needs chunk ${hash}, which is not there`,
  )
  const NONE = '00000000-0000-0000-0000-000000000000'
  let [thread, last] = [NONE, NONE]
  let chunks = 0
  for (;;) {
    const { rows } = await db.query<ChunkRow>(CHUNKS, [thread, last])
    chunks += rows.length
    for (const row of rows)
      if (nameOf(row) !== row.hash)
        faults.push(`thread ${row.thread_id}: chunk ${row.hash} is not what it was`)
    const end = rows.at(-1)
    if (end === undefined) return { chunks, faults }
    ;[thread, last] = [end.thread_id, end.hash]
  }
}

function nameOf({ body, bytes, refs }: ChunkRow): string {
  if (refs !== null) return pageChunk(body, refsIn(refs)).hash
  return bytes === null ? jsonChunk(jsonOf(body ?? '')).hash : bytesChunk(bytes).hash
}
