import type { SerializerProtocol } from '@langchain/langgraph-checkpoint'
import type { Chunk } from './chunk.ts'

// Everything under what is asked for, of the owner `$3`. An element is found once in each list that has it, so that nothing is searched
// twice in between.
export const REACHED = `reached as (
    select c.hash, c.body, c.bytes, c.refs
    from roots join checkpoint_chunks c on c.thread_id = $3 and c.hash = roots.hash
    union all
    select c.hash, c.body, c.bytes, c.refs
    from reached r cross join lateral unnest(r.refs) as child (hash)
    join checkpoint_chunks c on c.thread_id = $3 and c.hash = child.hash
  )`

/** The same for several checkpoints, whose lists share most of their pages: nothing is sent twice. */
export const REACHED_ONCE = `found as (
    select c.hash, c.refs from roots join checkpoint_chunks c on c.thread_id = $3 and c.hash = roots.hash
    union
    select c.hash, c.refs
    from found f cross join lateral unnest(f.refs) as child (hash)
    join checkpoint_chunks c on c.thread_id = $3 and c.hash = child.hash
  ), reached as (
    select c.hash, c.body, c.bytes, c.refs
    from found join checkpoint_chunks c on c.thread_id = $3 and c.hash = found.hash
  )`

export const CHUNK_ROWS = `
  select 'chunk' as kind, hash::text as id, null::text as ns, null::text as parent, 0 as idx, null::text as type,
    body, null::text as metadata, bytes as blob, array_to_string(refs, ',') as refs
  from reached`

/** One row of a read: a checkpoint, one of its channels from before there were chunks, a write, or a chunk. */
export interface Row extends Record<string, unknown> {
  kind: 'checkpoint' | 'channel' | 'write' | 'chunk'
  id: string
  ns: string | null
  parent: string | null
  idx: number
  type: string | null
  body: string | null
  metadata: string | null
  blob: Uint8Array | null
  refs: string | null
}

export function chunksIn(rows: readonly Row[]): Map<string, Chunk> {
  const chunks = new Map<string, Chunk>()
  for (const { kind, id, body, blob: bytes, refs } of rows)
    if (kind === 'chunk') chunks.set(id, { hash: id, body, bytes, refs: refs === null ? null : refsIn(refs) })
  return chunks
}

export function refsIn(refs: string | null): string[] {
  return refs === null || refs === '' ? [] : refs.split(',')
}

/** A value as PostgresSaver stores it. Bytes are the reader's own. */
export async function loaded(
  serde: SerializerProtocol,
  type: string | null,
  blob: Uint8Array | null,
): Promise<unknown> {
  const value: unknown = await serde.loadsTyped(type ?? '', blob ?? new Uint8Array())
  return value instanceof Uint8Array ? Uint8Array.from(value) : value
}

/** The columns of chunks that are sent, in one order everywhere: two statements that add the same ones never wait in a circle. */
export function chunkColumns(added: ReadonlyMap<string, Chunk>): unknown[] {
  const rows = [...added.values()].toSorted((one, other) => (one.hash < other.hash ? -1 : 1))
  return [
    rows.map(({ hash }) => hash),
    rows.map(({ body }) => body),
    rows.map(({ bytes }) =>
      bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
    ),
    rows.map(({ refs }) => (refs === null ? null : `{${refs.join()}}`)),
  ]
}

/** `from`: the number of the first of four parameters; `owner`: whose they are. */
export const insertChunks = (owner: string, from: number, condition = '') => `
    insert into checkpoint_chunks (thread_id, hash, body, bytes, refs)
    select ${owner}::uuid, hash, body, bytes, refs::uuid[]
    from unnest($${from}::uuid[], $${from + 1}::text[], $${from + 2}::bytea[], $${from + 3}::text[])
      as c (hash, body, bytes, refs)
    ${condition}
    on conflict do nothing`
