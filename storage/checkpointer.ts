import { randomBytes } from 'node:crypto'
import type { RunnableConfig } from '@langchain/core/runnables'
import {
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
} from '@langchain/langgraph-checkpoint'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import { type Database, jsonbText, prepared, type Queryable } from './database.ts'

const listSql = (where: string, limit: number | undefined) => `
  select thread_id, checkpoint_ns, checkpoint_id from checkpoints cp ${where}
  order by position desc ${limit === undefined ? '' : `limit ${Math.trunc(limit)}`}`

const positionOf = (parameter: number) => `(
  select position from checkpoints b
  where b.thread_id = cp.thread_id and b.checkpoint_ns = cp.checkpoint_ns and b.checkpoint_id = $${parameter})`

/**
 * What the stock saver asks its pool for. It takes the highest id for the newest, which after a change of machines may
 * be an older one: ids sort by the clock of whoever made them, positions by the order in which they were stored.
 */
function poolFor(db: Database): Database['pool'] {
  const query: Queryable['query'] = (text, values) =>
    db.query(prepared(text.replace('ORDER BY checkpoint_id DESC', 'ORDER BY position DESC')), values)
  return { query } as Database['pool']
}

// Eight random bytes for each of many versions; asking the system for them one by one costs more than the rest of a version.
let random = Buffer.alloc(0)

function tail(): string {
  if (random.length === 0) random = randomBytes(4_096)
  const bytes = random.subarray(0, 8)
  random = random.subarray(8)
  return bytes.toString('hex')
}

/** LangGraph's saver with versions that cannot collide, and checkpoints in the order in which they were stored. */
export class Checkpointer extends PostgresSaver {
  protected readonly db: Database

  constructor(db: Database) {
    super(poolFor(db))
    this.db = db
  }

  /**
   * The stock saver counts 1, 2, 3, and keeps the first value stored under (channel, version): a fork, or a second
   * writer, then reads the other branch's values. A random tail makes each version its writer's own. Threads that
   * were begun with numbers keep them, because the two kinds do not sort together.
   */
  override getNextVersion(current: number | undefined): number {
    if (typeof current === 'number') return super.getNextVersion(current)
    const count = current === undefined ? 0 : Number.parseInt(current, 10)
    const version = `${String(count + 1).padStart(16, '0')}.${tail()}`
    // LangGraph takes strings wherever its types say number (BaseCheckpointSaver is generic only inside).
    return version as unknown as number
  }

  /** Newest first. */
  override async *list(
    config: RunnableConfig,
    options: CheckpointListOptions = {},
  ): AsyncGenerator<CheckpointTuple> {
    const [where, values] = this._searchWhere(config, options.filter, options.before)
    const { rows } = await this.db.query(listSql(where, options.limit), values)
    for (const configurable of rows) {
      const tuple = await this.getTuple({ configurable })
      if (tuple !== undefined) yield tuple
    }
  }

  /**
   * What a put stores, beside its place: the changed channels, their versions, types and values, then the checkpoint's id,
   * its parent's, itself and its metadata.
   */
  protected async columnsOf(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    versions: ChannelVersions,
  ): Promise<unknown[]> {
    const { thread_id, checkpoint_ns = '', checkpoint_id } = config.configurable ?? {}
    const blobs = await this._dumpBlobs(thread_id, checkpoint_ns, checkpoint.channel_values, versions)
    return [
      blobs.map(([, , channel]) => channel),
      blobs.map(([, , , version]) => version),
      blobs.map(([, , , , type]) => type),
      blobs.map(([, , , , , blob]) => (blob === undefined ? null : Buffer.from(blob))),
      checkpoint.id,
      checkpoint_id ?? null,
      jsonbText(JSON.stringify(this._dumpCheckpoint(checkpoint))),
      jsonbText(JSON.stringify(await this._dumpMetadata(metadata))),
    ]
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
