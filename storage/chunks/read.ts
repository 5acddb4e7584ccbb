import type { RunnableConfig } from '@langchain/core/runnables'
import type {
  Checkpoint,
  CheckpointMetadata,
  CheckpointTuple,
  SerializerProtocol,
} from '@langchain/langgraph-checkpoint'
import { prepared, type Queryable } from '../database.ts'
import { ownerOf } from './chunk.ts'
import type { Memory } from './encode.ts'
import { revive } from './revive.ts'
import { CHUNK_ROWS, chunksIn, loaded, REACHED, refsIn, type Row } from './rows.ts'
import { type Before, readState } from './state.ts'
import { writesIn } from './writes.ts'

// The checkpoint, what tasks wrote after it, and every chunk that they are made of.
const readSql = (which: string) =>
  prepared(`
  with recursive cp as (
    select checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata, state, refs
    from checkpoints where thread_id = $1 and checkpoint_ns = $2 ${which}
  ), w as (
    select w.* from checkpoint_writes w
    where w.thread_id = $1 and w.checkpoint_ns = $2 and w.checkpoint_id = (select checkpoint_id from cp)
  ), roots as (
    select unnest(refs) as hash from cp union select unnest(refs) from w
  ), ${REACHED}
  select 'checkpoint' as kind, checkpoint_id as id, checkpoint_ns as ns, parent_checkpoint_id as parent, 0 as idx,
    case when state is null then checkpoint::text end as type, state as body, metadata::text as metadata,
    null::bytea as blob, array_to_string(refs, ',') as refs
  from cp
  union all
  select 'channel', b.channel, null, null, 0, b.type, null, null, b.blob, null
  from cp cross join lateral jsonb_each_text(cp.checkpoint -> 'channel_versions') as versions (channel, version)
  join checkpoint_blobs b on b.thread_id = $1 and b.checkpoint_ns = $2
    and b.channel = versions.channel and b.version = versions.version
  where cp.state is null
  union all
  select 'write', task_id, null, null, idx, type, packed, channel, blob, array_to_string(refs, ',') from w
  union all ${CHUNK_ROWS}`)

const NEWEST = readSql('order by position desc limit 1')
const BY_ID = readSql('and checkpoint_id = $4')

export interface ReadTuple {
  tuple: CheckpointTuple
  /** Unset where the checkpoint was written before there were chunks. */
  before: Before | undefined
}

/** One query. `memory` learns what is stored. */
export async function readTuple(
  db: Queryable,
  serde: SerializerProtocol,
  config: RunnableConfig,
  memory: Memory | undefined,
): Promise<ReadTuple | undefined> {
  const { thread_id, checkpoint_ns = '', checkpoint_id } = config.configurable ?? {}
  const { rows } = checkpoint_id
    ? await db.query<Row>(BY_ID, [thread_id, checkpoint_ns, ownerOf(thread_id), checkpoint_id])
    : await db.query<Row>(NEWEST, [thread_id, checkpoint_ns, ownerOf(thread_id)])
  const row = rows.find(({ kind }) => kind === 'checkpoint')
  if (row === undefined) return undefined
  const decoder = { serde, memory, chunks: chunksIn(rows) }
  const read =
    row.body === null
      ? { checkpoint: await readFormer(serde, row, rows), before: undefined }
      : await readState(decoder, row.id, row.body, refsIn(row.refs))
  const at = (id: string) => ({ configurable: { thread_id, checkpoint_ns, checkpoint_id: id } })
  return {
    before: read.before,
    tuple: {
      config: at(row.id),
      checkpoint: read.checkpoint,
      metadata: (await revive(serde, row.metadata ?? '{}')) as CheckpointMetadata,
      parentConfig: row.parent === null ? undefined : at(row.parent),
      pendingWrites: await writesIn(decoder, rows),
    },
  }
}

/** A checkpoint as PostgresSaver writes it. */
async function readFormer(serde: SerializerProtocol, row: Row, rows: readonly Row[]): Promise<Checkpoint> {
  const checkpoint = JSON.parse(row.type ?? '{}') as Checkpoint
  const channels = rows.filter(({ kind, type }) => kind === 'channel' && type !== 'empty')
  const values = channels.map(async ({ id, type, blob }) => [id, await loaded(serde, type, blob)] as const)
  return {
    ...checkpoint,
    channel_versions: checkpoint.channel_versions ?? {},
    versions_seen: checkpoint.versions_seen ?? {},
    channel_values: Object.fromEntries(await Promise.all(values)),
  }
}
