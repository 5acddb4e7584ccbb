import type { RunnableConfig } from '@langchain/core/runnables'
import type { DeltaChannelHistory, SerializerProtocol } from '@langchain/langgraph-checkpoint'
import type { Queryable } from '../database.ts'
import { ownerOf } from './chunk.ts'
import { CHUNK_ROWS, chunksIn, loaded, REACHED, refsIn, type Row } from './rows.ts'
import { readState } from './state.ts'
import { writesIn } from './writes.ts'

// Whether a checkpoint has a value of the channel: 0 stands for none (storage/chunks/encode.ts), and its layout may be a
// chunk, the first that it refers to.
const HAS_VALUE = `case when p.state is null then exists (
      select 1 from checkpoint_blobs b
      where b.thread_id = $1 and b.checkpoint_ns = $2 and b.channel = wanted.channel and b.type <> 'empty'
        and b.version = p.checkpoint -> 'channel_versions' ->> wanted.channel
    ) else exists (
      select 1 from json_array_elements_text((case when p.state like '[1,%' then (
          select body from checkpoint_chunks l where l.thread_id = $3 and l.hash = p.refs[1]
        )::json else p.state::json -> 0 end) -> 'channels') with ordinality as names (name, place)
      where name = wanted.channel and p.state::json -> 4 ->> (place - 1)::integer <> '0'
    ) end`

// From the parent on, as far as a channel is still without a value. A checkpoint's own writes are asked for with it.
const HISTORY = `
  with recursive line as (
    select p.*, 1 as depth, array(
      select channel from unnest($5::text[]) as wanted (channel) where not ${HAS_VALUE}
    ) as missing, $5::text[] as asked
    from checkpoints c join checkpoints p
      on p.thread_id = $1 and p.checkpoint_ns = $2 and p.checkpoint_id = c.parent_checkpoint_id
    where c.thread_id = $1 and c.checkpoint_ns = $2 and c.checkpoint_id = coalesce($4, (
      select checkpoint_id from checkpoints
      where thread_id = $1 and checkpoint_ns = $2 order by position desc limit 1
    ))
    union all
    select p.*, line.depth + 1, array(
      select channel from unnest(line.missing) as wanted (channel) where not ${HAS_VALUE}
    ), line.missing
    from line join checkpoints p
      on p.thread_id = $1 and p.checkpoint_ns = $2 and p.checkpoint_id = line.parent_checkpoint_id
    where line.missing <> '{}'
  ), w as (
    select line.depth, w.* from line join checkpoint_writes w
      on w.thread_id = $1 and w.checkpoint_ns = $2 and w.checkpoint_id = line.checkpoint_id
    where w.packed is not null or w.channel = any($5)
  ), roots as (
    select unnest(refs) as hash from line where missing <> asked union select unnest(refs) from w
  ), ${REACHED}
  select 'checkpoint' as kind, checkpoint_id as id, array_to_string(asked, ',') as ns, null::text as parent, depth as idx,
    case when state is null then '' end as type, case when missing <> asked then state end as body,
    null::text as metadata, null::bytea as blob, array_to_string(refs, ',') as refs
  from line
  union all
  select 'channel', b.channel, null, null, depth, b.type, null, null, b.blob, null
  from line join checkpoint_blobs b on b.thread_id = $1 and b.checkpoint_ns = $2 and b.channel = any(asked)
    and b.version = line.checkpoint -> 'channel_versions' ->> b.channel
  where line.state is null
  union all
  select 'write', task_id, depth::text, null, idx, type, packed, channel, blob, array_to_string(refs, ',') from w
  union all ${CHUNK_ROWS}`

/** Of each channel what was written to it since it last had a value, oldest first, and that value: one query. */
export async function readDeltaHistory(
  db: Queryable,
  serde: SerializerProtocol,
  config: RunnableConfig,
  channels: readonly string[],
): Promise<Record<string, DeltaChannelHistory>> {
  const { thread_id, checkpoint_ns = '', checkpoint_id } = config.configurable ?? {}
  const place = [thread_id, checkpoint_ns, ownerOf(thread_id), checkpoint_id ?? null, channels]
  const { rows } = await db.query<Row>(HISTORY, place)
  const decoder = { serde, chunks: chunksIn(rows) }
  const found = new Map<string, DeltaChannelHistory>(channels.map((channel) => [channel, { writes: [] }]))
  const remaining = new Set(channels)
  const line = rows.filter(({ kind }) => kind === 'checkpoint').toSorted((one, other) => one.idx - other.idx)
  for (const { id, idx: depth, body, type, refs } of line) {
    const own = rows.filter(({ kind, ns }) => kind === 'write' && ns === String(depth))
    const writes = (await writesIn(decoder, own)).filter(([, channel]) => remaining.has(channel))
    for (const write of writes.toReversed()) found.get(write[1])?.writes.unshift(write)
    const values =
      body === null ? {} : (await readState(decoder, id, body, refsIn(refs))).checkpoint.channel_values
    if (type !== null)
      for (const row of rows.filter(({ kind, idx }) => kind === 'channel' && idx === depth))
        if (row.type !== 'empty') values[row.id] = await loaded(serde, row.type, row.blob)
    for (const channel of remaining) {
      if (!Object.hasOwn(values, channel)) continue
      found.set(channel, { ...found.get(channel), seed: values[channel] } as DeltaChannelHistory)
      remaining.delete(channel)
    }
  }
  return Object.fromEntries(found)
}
