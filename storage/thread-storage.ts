import type { ThreadStorage } from '../runtime/thread.ts'
import { refsIn } from './chunks/rows.ts'
import { partsOf } from './chunks/state.ts'
import type { Queryable } from './database.ts'

const ROWS = `
  select 'checkpoint' as kind, checkpoint_id as id, state, array_to_string(refs, ',') as refs,
    octet_length(checkpoint::text) + octet_length(metadata::text) + coalesce(octet_length(state), 0)
      + 16 * coalesce(cardinality(refs), 0) as bytes
  from checkpoints where thread_id = $1
  union all
  select 'channel', channel, null, null, sum(octet_length(blob))::integer
  from checkpoint_blobs where thread_id = $1 and blob is not null group by channel
  union all
  select 'write', null, null, null, (coalesce(sum(
    octet_length(blob) + coalesce(octet_length(packed), 0) + 16 * coalesce(cardinality(refs), 0)), 0))::integer
  from checkpoint_writes where thread_id = $1
  union all
  select 'chunk', hash::text, case when refs is null and body like '{"channels":%' then body end,
    array_to_string(refs, ','),
    16 + coalesce(octet_length(body), 0) + coalesce(octet_length(bytes), 0) + 16 * coalesce(cardinality(refs), 0)
  from checkpoint_chunks where thread_id = $1::uuid`

interface Row extends Record<string, unknown> {
  kind: 'checkpoint' | 'channel' | 'write' | 'chunk'
  id: string
  state: string | null
  refs: string | null
  bytes: number
}

/** A chunk counts for the first channel that has it; one that only a task's writes have counts for those. */
export async function storageOf(db: Queryable, threadId: string): Promise<ThreadStorage> {
  const { rows } = await db.query<Row>(ROWS, [threadId])
  const of = (kind: Row['kind']) => rows.filter((row) => row.kind === kind)
  const sum = (some: Iterable<Row>) => [...some].reduce((total, { bytes }) => total + bytes, 0)
  const left = new Map(of('chunk').map((row) => [row.id, row]))
  const layouts = new Map([...left].map(([hash, { state }]) => [hash, state]))
  const channels: Record<string, number> = Object.fromEntries(
    of('channel').map(({ id, bytes }) => [id, bytes]),
  )
  let checkpoints = sum(of('checkpoint'))

  const take = (refs: readonly string[]): number => {
    let bytes = 0
    const open = [...refs]
    for (let hash = open.pop(); hash !== undefined; hash = open.pop()) {
      const chunk = left.get(hash)
      if (chunk === undefined) continue
      left.delete(hash)
      bytes += chunk.bytes
      open.push(...refsIn(chunk.refs))
    }
    return bytes
  }
  for (const { state, refs } of of('checkpoint')) {
    if (state === null) continue
    const parts = partsOf(state, refsIn(refs), (hash) => layouts.get(hash) ?? undefined)
    checkpoints += take(parts.layout)
    for (const [channel, own] of parts.channels) channels[channel] = (channels[channel] ?? 0) + take(own)
  }
  return { checkpoints, channels, writes: sum(of('write')) + sum(left.values()) }
}
