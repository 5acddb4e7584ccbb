import type { RunnableConfig } from '@langchain/core/runnables'
import {
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  type DeltaChannelHistory,
  maxChannelVersion,
  type PendingWrite,
  TASKS,
  WRITES_IDX_MAP,
} from '@langchain/langgraph-checkpoint'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import { DEFAULT_LIMITS, type StateLimits, StateTooLarge } from '../runtime/state-limits.ts'
import { ownerOf } from './chunks/chunk.ts'
import { addChunk, Chunks, createMemory, encode, type Encoded, type Encoder } from './chunks/encode.ts'
import { readDeltaHistory } from './chunks/delta-history.ts'
import { readTuple } from './chunks/read.ts'
import { chunkColumns, insertChunks } from './chunks/rows.ts'
import { type Before, writeState } from './chunks/state.ts'
import { noteCheckpoint, placeOf, type ThreadMemory } from './chunks/thread-memory.ts'
import { rowsOf, writeColumns, type WriteRow } from './chunks/writes.ts'
import { type Database, jsonbText, prepared } from './database.ts'
import { listTuples } from './list-checkpoints.ts'
import { nextVersion } from './next-version.ts'

export interface CheckpointParts {
  /** Id, its parent's, state, references and metadata. */
  columns: unknown[]
  chunks: Chunks
  /** What comes after it may be stored by its difference from it. */
  note: () => void
}

interface Statement {
  sql: string
  values: unknown[]
  chunks: Chunks
}

const PUT = prepared(`
  with chunks as (${insertChunks('$8', 9)})
  insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, state, refs, metadata)
  values ($1, $2, $3, $4, '{}', $5, $6::uuid[], $7::jsonb)
  on conflict (thread_id, checkpoint_ns, checkpoint_id) do update
  set state = excluded.state, refs = excluded.refs, checkpoint = excluded.checkpoint, metadata = excluded.metadata`)

const putWritesSql = (onConflict: string) => `
  with chunks as (${insertChunks('$11', 12)})
  insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, packed, refs)
  select $1, $2, $3, $4, idx, channel, type, blob, packed, refs::uuid[]
  from unnest($5::integer[], $6::text[], $7::text[], $8::bytea[], $9::text[], $10::text[])
    as w (idx, channel, type, blob, packed, refs)
  on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) ${onConflict}`

const PUT_WRITES = prepared(putWritesSql('do nothing'))
const PUT_SPECIAL_WRITES = prepared(
  putWritesSql('do update set channel = excluded.channel, type = excluded.type, blob = excluded.blob'),
)

const positionOf = (parameter: number) => `(
  select position from checkpoints b
  where b.thread_id = cp.thread_id and b.checkpoint_ns = cp.checkpoint_ns and b.checkpoint_id = $${parameter})`

const DELETE = ['checkpoint_writes', 'checkpoint_blobs', 'checkpoints', 'checkpoint_garbage'].map(
  (table) => `delete from ${table} where thread_id = $1`,
)
const DELETE_CHUNKS = 'delete from checkpoint_chunks where thread_id = $1'

/**
 * LangGraph's saver with versions that cannot collide, checkpoints in the order in which they were stored, and each part
 * of a state stored once (docs/storage.md).
 */
export class Checkpointer extends PostgresSaver {
  protected readonly db: Database
  readonly #limits: StateLimits

  constructor(db: Database, limits: StateLimits = DEFAULT_LIMITS) {
    super(db.pool)
    this.db = db
    this.#limits = limits
  }

  override getNextVersion(current: number | undefined): number {
    return typeof current === 'number' ? super.getNextVersion(current) : nextVersion(current)
  }

  /** Of a thread that this saver writes to alone; else all is sent, and found to be there. */
  protected memoryOf(_threadId: string): ThreadMemory | undefined {
    return undefined
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const { thread_id, checkpoint_ns = '' } = config.configurable ?? {}
    if (thread_id === undefined) return undefined
    const memory = this.memoryOf(thread_id)
    const read = await readTuple(this.db, this.serde, config, memory)
    if (read === undefined) return undefined
    const { tuple, before } = read
    if (before !== undefined && memory !== undefined)
      noteCheckpoint(memory, checkpoint_ns, tuple.checkpoint.id, before)
    return tuple.checkpoint.v < 4 ? await this.#withSends(tuple) : tuple
  }

  /** What such a checkpoint sends is with its parent's writes. */
  async #withSends(tuple: CheckpointTuple): Promise<CheckpointTuple> {
    const parent = tuple.parentConfig && (await this.getTuple(tuple.parentConfig))
    const sends = parent?.pendingWrites?.filter(([, channel]) => channel === TASKS) ?? []
    if (sends.length === 0) return tuple
    const { channel_values, channel_versions } = tuple.checkpoint
    const versions = Object.values(channel_versions)
    const version = versions.length > 0 ? maxChannelVersion(...versions) : this.getNextVersion(undefined)
    const checkpoint = {
      ...tuple.checkpoint,
      channel_values: { ...channel_values, [TASKS]: sends.map(([, , value]) => value) },
      channel_versions: { ...channel_versions, [TASKS]: version as number },
    }
    return { ...tuple, checkpoint }
  }

  override async getDeltaChannelHistory({
    config,
    channels,
  }: Parameters<PostgresSaver['getDeltaChannelHistory']>[0]): Promise<Record<string, DeltaChannelHistory>> {
    return channels.length === 0 ? {} : await readDeltaHistory(this.db, this.serde, config, channels)
  }

  /** Newest first. */
  override async *list(
    config: RunnableConfig,
    options: CheckpointListOptions = {},
  ): AsyncGenerator<CheckpointTuple> {
    const [where, values] = this._searchWhere(config, options.filter, options.before)
    for await (const tuple of listTuples(this.db, this.serde, { where, values, limit: options.limit }))
      yield tuple.checkpoint.v < 4 ? await this.#withSends(tuple) : tuple
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { thread_id, checkpoint_ns = '' } = config.configurable ?? {}
    await this.#store(await this.putStatement(config, checkpoint, metadata, newVersions))
    return { configurable: { thread_id, checkpoint_ns, checkpoint_id: checkpoint.id } }
  }

  override async putWrites(config: RunnableConfig, writes: PendingWrite[], taskId: string): Promise<void> {
    await this.#store(await this.writesStatement(config, writes, taskId))
  }

  async #store({ sql, values, chunks }: Statement): Promise<void> {
    await this.db.query(sql, values)
    chunks.stored()
  }

  override async deleteThread(threadId: string): Promise<void> {
    await this.db.transaction(async (client) => {
      for (const sql of DELETE) await client.query(sql, [threadId])
      await client.query(DELETE_CHUNKS, [ownerOf(threadId)])
    })
  }

  protected encoderOf(threadId: string): Encoder {
    const memory = this.memoryOf(threadId) ?? createMemory()
    return { serde: this.serde, memory, check: this.#limits.over === 'error' ? this.#check : undefined }
  }

  readonly #check = (channel: string, bytes: number): void => {
    if (bytes > this.#limits.bytes && !isInternal(channel))
      throw new StateTooLarge(`A value of channel ${channel}`, bytes, this.#limits)
  }

  protected async putStatement(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<Statement> {
    const { thread_id, checkpoint_ns = '' } = config.configurable ?? {}
    const { columns, chunks, note } = await this.partsOf(config, checkpoint, metadata, newVersions)
    chunks.onStored(note)
    const values = [thread_id, checkpoint_ns, ...columns, ownerOf(thread_id), ...chunkColumns(chunks.added)]
    return { sql: PUT, values, chunks }
  }

  protected async writesStatement(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
  ): Promise<Statement> {
    const { thread_id, checkpoint_ns = '', checkpoint_id } = config.configurable ?? {}
    const special = writes.every(([channel]) => channel in WRITES_IDX_MAP)
    const { rows, chunks } = await this.writeParts(thread_id, writes)
    const place = [thread_id, checkpoint_ns, checkpoint_id, taskId]
    const values = [...place, ...writeColumns(rows), ownerOf(thread_id), ...chunkColumns(chunks.added)]
    return { sql: special ? PUT_SPECIAL_WRITES : PUT_WRITES, values, chunks }
  }

  /** What a put stores beside its place. */
  protected async partsOf(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<CheckpointParts> {
    const { thread_id, checkpoint_ns = '', checkpoint_id } = config.configurable ?? {}
    const memory = this.memoryOf(thread_id)
    const before = memory?.checkpoints.get(placeOf(checkpoint_ns, checkpoint_id))
    const chunks = new Chunks()
    const encoder = this.encoderOf(thread_id)
    const [values, [, dumped]] = await Promise.all([
      channelsOf(encoder, chunks, checkpoint, {
        before,
        newVersions,
        namespace: checkpoint_ns,
        first: !checkpoint_id,
      }),
      this.serde.dumpsTyped(metadata),
    ])
    const { text, refs, chunk, now } = writeState(checkpoint, values, before)
    if (chunk !== undefined) addChunk(encoder.memory, chunk, chunks)
    const note = () => {
      if (memory !== undefined) noteCheckpoint(memory, checkpoint_ns, checkpoint.id, now)
    }
    const columns = [
      checkpoint.id,
      checkpoint_id ?? null,
      text,
      refs.length === 0 ? null : `{${refs.join()}}`,
      jsonbText(Buffer.from(dumped).toString('utf8')),
    ]
    return { columns, chunks, note }
  }

  protected async writeParts(
    threadId: string,
    writes: PendingWrite[],
  ): Promise<{ rows: WriteRow[]; chunks: Chunks }> {
    const chunks = new Chunks()
    const rows = await rowsOf(this.encoderOf(threadId), writes, chunks)
    return { rows, chunks }
  }

  protected override _searchWhere(
    config?: RunnableConfig,
    filter?: Record<string, unknown>,
    before?: RunnableConfig,
  ): [string, unknown[]] {
    // The stock saver makes jsonb of it, which takes no NUL and no half of a surrogate pair.
    const storable = filter && (JSON.parse(jsonbText(JSON.stringify(filter))) as Record<string, unknown>)
    const [where, values] = super._searchWhere(config, storable)
    const id: unknown = before?.configurable?.['checkpoint_id']
    if (id === undefined) return [where, values]
    const earlier = `position < ${positionOf(values.length + 1)}`
    return [where === '' ? `where ${earlier}` : `${where} and ${earlier}`, [...values, id]]
  }
}

/** LangGraph's own: a whole input in `__start__`, what is sent to nodes, `branch:to:node`. */
export function isInternal(channel: string): boolean {
  return channel.startsWith('__') || channel.startsWith('branch:')
}

interface Put {
  before: Before | undefined
  newVersions: ChannelVersions
  namespace: string
  /** Without a parent, what is not new has no value. */
  first: boolean
}

/** A value whose version is its parent's is its parent's value. */
async function channelsOf(
  encoder: Encoder,
  chunks: Chunks,
  { channel_values: values, channel_versions: versions }: Checkpoint,
  { before, newVersions, namespace, first }: Put,
): Promise<Map<string, Encoded>> {
  const channels = Object.keys(values).filter(
    (channel) => channel in versions && (!first || channel in newVersions),
  )
  const all = await Promise.all(
    channels.map(async (channel) => {
      const changed = channel in newVersions || before?.versions[channel] !== versions[channel]
      const known = changed ? undefined : before?.values.get(channel)
      return (
        known ??
        (await encode(encoder, values[channel], chunks, { channel, list: `${namespace}\0${channel}` }))
      )
    }),
  )
  return new Map(all.map((value, index) => [channels[index] ?? '', value]))
}
