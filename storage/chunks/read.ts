import type { RunnableConfig } from '@langchain/core/runnables'
import type {
  Checkpoint,
  CheckpointMetadata,
  CheckpointTuple,
  SerializerProtocol,
} from '@langchain/langgraph-checkpoint'
import { prepared, type Queryable } from '../database.ts'
import { ownerOf } from './chunk.ts'
import type { Decoder } from './decode.ts'
import type { Memory } from './encode.ts'
import { revive } from './revive.ts'
import { CHUNK_ROWS, chunksIn, loaded, REACHED, REACHED_ONCE, refsIn, type Row } from './rows.ts'
import { type Before, readState } from './state.ts'
import { writesIn } from './writes.ts'

// The checkpoint, what tasks wrote after it, and every chunk that they are made of.
const readSql = (which: string, reached: string) =>
  prepared(`
  with recursive cp as (
    select checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata, state, refs
    from checkpoints where thread_id = $1 and ${which}
  ), w as (
    select w.* from checkpoint_writes w join cp on w.thread_id = $1
      and w.checkpoint_ns = cp.checkpoint_ns and w.checkpoint_id = cp.checkpoint_id
  ), roots as (
    select unnest(refs) as hash from cp union select unnest(refs) from w
  ), ${reached}
  select 'checkpoint' as kind, checkpoint_id as id, checkpoint_ns as ns, parent_checkpoint_id as parent, 0 as idx,
    case when state is null then checkpoint::text end as type, state as body, metadata::text as metadata,
    null::bytea as blob, array_to_string(refs, ',') as refs
  from cp
  union all
  select 'channel', b.channel, cp.checkpoint_ns, cp.checkpoint_id, 0, b.type, null, null, b.blob, null
  from cp cross join lateral jsonb_each_text(cp.checkpoint -> 'channel_versions') as versions (channel, version)
  join checkpoint_blobs b on b.thread_id = $1 and b.checkpoint_ns = cp.checkpoint_ns
    and b.channel = versions.channel and b.version = versions.version
  where cp.state is null
  union all
  select 'write', task_id, checkpoint_ns, checkpoint_id, idx, type, packed, channel, blob, array_to_string(refs, ',')
  from w
  union all ${CHUNK_ROWS}`)

const NEWEST = readSql('checkpoint_ns = $2 order by position desc limit 1', REACHED)
const BY_ID = readSql('checkpoint_ns = $2 and checkpoint_id = $4', REACHED)
const SEVERAL = readSql(
  '(checkpoint_ns, checkpoint_id) in (select * from unnest($2::text[], $4::text[]))',
  REACHED_ONCE,
)

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
  return await tupleOf({ serde, memory, chunks: chunksIn(rows) }, thread_id, row, rows)
}

export interface CheckpointPlace {
  checkpoint_ns: string
  checkpoint_id: string
}

/** Checkpoints of one thread in that order, by one query; those that are gone are left out. Each is made when it is asked for. */
export async function* readTuples(
  db: Queryable,
  serde: SerializerProtocol,
  threadId: string,
  places: readonly CheckpointPlace[],
): AsyncGenerator<CheckpointTuple> {
  const { rows } = await db.query<Row>(SEVERAL, [
    threadId,
    places.map((place) => place.checkpoint_ns),
    ownerOf(threadId),
    places.map((place) => place.checkpoint_id),
  ])
  const decoder = { serde, chunks: chunksIn(rows) }
  const own = Map.groupBy(
    rows.filter(({ kind }) => kind !== 'chunk'),
    ({ kind, ns, id, parent }) => `${ns}\0${kind === 'checkpoint' ? id : parent}`,
  )
  for (const { checkpoint_ns, checkpoint_id } of places) {
    const found = own.get(`${checkpoint_ns}\0${checkpoint_id}`) ?? []
    const row = found.find(({ kind }) => kind === 'checkpoint')
    if (row !== undefined) yield (await tupleOf(decoder, threadId, row, found)).tuple
  }
}

/** `rows`: of this checkpoint, and any number of chunks. */
async function tupleOf(
  decoder: Decoder,
  threadId: string,
  row: Row,
  rows: readonly Row[],
): Promise<ReadTuple> {
  const { serde } = decoder
  const read =
    row.body === null
      ? { checkpoint: await readFormer(serde, row, rows), before: undefined }
      : await readState(decoder, row.id, row.body, refsIn(row.refs))
  const at = (id: string) => ({
    configurable: { thread_id: threadId, checkpoint_ns: row.ns ?? '', checkpoint_id: id },
  })
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
