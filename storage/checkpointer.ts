import { randomBytes } from 'node:crypto'
import type { RunnableConfig } from '@langchain/core/runnables'
import {
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  type PendingWrite,
  WRITES_IDX_MAP,
} from '@langchain/langgraph-checkpoint'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import { failpoint } from '../runtime/failpoint.ts'
import { LeaseLost, StorageUnavailable } from '../runtime/lease.ts'
import type { Checkpoints } from '../runtime/ports.ts'
import type { ClaimedRun } from '../runtime/run.ts'
import { answered, type Database, jsonbText } from './database.ts'

const FENCE = `
  select 1 from runs
  where thread_id = $1::uuid and run_id = $2 and lease_token = $3 and status = 'running'
  for share`

// Blobs, checkpoint and fence in one statement: it costs one round trip, and a zombie has nothing to slip between.
const PUT = `
  with fence as (${FENCE}), blobs as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select $1::text, $4, channel, version, type, blob
    from unnest($5::text[], $6::text[], $7::text[], $8::bytea[]) as b (channel, version, type, blob)
    where exists (select 1 from fence)
    on conflict do nothing
  )
  insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
  select $1::text, $4, $9, $10, $11::jsonb, $12::jsonb from fence
  on conflict (thread_id, checkpoint_ns, checkpoint_id) do update
  set checkpoint = excluded.checkpoint, metadata = excluded.metadata
  returning 1`

const putWritesSql = (onConflict: string) => `
  with fence as (${FENCE}), added as (
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, run_id)
    select $1::text, $4, $5, $6, idx, channel, type, blob, $2::uuid
    from unnest($7::integer[], $8::text[], $9::text[], $10::bytea[]) as w (idx, channel, type, blob)
    where exists (select 1 from fence)
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) ${onConflict}
  )
  select 1 from fence`

const PUT_WRITES = putWritesSql('do nothing')
// Interrupts, resume values and errors have fixed places, where the newest counts.
const PUT_SPECIAL_WRITES = putWritesSql(
  'do update set channel = excluded.channel, type = excluded.type, blob = excluded.blob',
)

const HEAD_RUN_ID = `
  select metadata ->> 'run_id' as run_id from checkpoints
  where thread_id = $1 and checkpoint_ns = ''
  order by position desc limit 1`

// By the order in which they were stored: their ids sort by the clock of whoever made them.
const HEAD = `
  select checkpoint_id from checkpoints
  where thread_id = $1 and checkpoint_ns = $2
  order by position desc limit 1`

const listSql = (where: string, limit: number | undefined) => `
  select thread_id, checkpoint_ns, checkpoint_id from checkpoints cp ${where}
  order by position desc ${limit === undefined ? '' : `limit ${Math.trunc(limit)}`}`

const positionOf = (parameter: number) => `(
  select position from checkpoints b
  where b.thread_id = cp.thread_id and b.checkpoint_ns = cp.checkpoint_ns and b.checkpoint_id = $${parameter})`

// The pauses of the newest checkpoint of each namespace.
const PAUSES = `
  select task_id, channel, type, blob from checkpoint_writes w
  where thread_id = $1 and channel in ('__interrupt__', '__resume__')
    and checkpoint_id = (
      select max(checkpoint_id) from checkpoints c
      where c.thread_id = w.thread_id and c.checkpoint_ns = w.checkpoint_ns
    )`

interface PauseRow extends Record<string, unknown> {
  task_id: string
  channel: string
  type: string
  blob: Uint8Array
}

/** A task that paused again after an answer has both: its interrupt and the answers that it was given so far. */
async function countAnswers(
  rows: PauseRow[],
  serde: PostgresSaver['serde'],
): Promise<Record<string, number>> {
  const answers = new Map<string, number>()
  const interrupts: [string, string][] = []
  for (const { task_id, channel, type, blob } of rows) {
    const value: unknown = await serde.loadsTyped(type, blob)
    const list: unknown[] = Array.isArray(value) ? value : [value]
    if (channel === '__resume__') answers.set(task_id, list.length)
    else for (const interrupt of list) interrupts.push([task_id, String((interrupt as { id?: string }).id)])
  }
  return Object.fromEntries(
    interrupts.flatMap(([task, id]) => (answers.has(task) ? [[id, answers.get(task) ?? 0]] : [])),
  )
}

export function createCheckpoints(db: Database): Checkpoints {
  const plain = new Checkpointer(db)
  return {
    plain,
    fenced(run, failed) {
      const saver = new FencedCheckpointer(db, run, failed)
      return { saver, committed: saver.committed.bind(saver) }
    },
    async holdsMessage(threadId, namespace, messageId) {
      const configurable = { thread_id: threadId, checkpoint_ns: namespace }
      const tuple = await plain.getTuple({ configurable })
      const messages: unknown = tuple?.checkpoint.channel_values['messages']
      return Array.isArray(messages) && messages.some((message: { id?: string }) => message.id === messageId)
    },
    async answerCounts(threadId) {
      const { rows } = await db.query<PauseRow>(PAUSES, [threadId])
      return await countAnswers(rows, plain.serde)
    },
    async headRunId(threadId) {
      const { rows } = await db.query<{ run_id: string | null }>(HEAD_RUN_ID, [threadId])
      return rows[0]?.run_id ?? undefined
    },
  }
}

/** LangGraph's saver with versions that cannot collide, and checkpoints in the order in which they were stored. */
class Checkpointer extends PostgresSaver {
  protected readonly db: Database

  constructor(db: Database) {
    super(db.pool)
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
    const version = `${String(count + 1).padStart(16, '0')}.${randomBytes(8).toString('hex')}`
    // LangGraph takes strings wherever its types say number (BaseCheckpointSaver is generic only inside).
    return version as unknown as number
  }

  /** The stock saver takes the highest id for the newest, which after a change of machines may be an older one. */
  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const { thread_id, checkpoint_ns = '', checkpoint_id } = config.configurable ?? {}
    if (checkpoint_id) return await answered(super.getTuple(config))
    const { rows } = await this.db.query<{ checkpoint_id: string }>(HEAD, [thread_id, checkpoint_ns])
    const [head] = rows
    if (head === undefined) return undefined
    const configurable = { thread_id, checkpoint_ns, checkpoint_id: head.checkpoint_id }
    return await answered(super.getTuple({ configurable }))
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

/** A run's checkpointer: stamps the run's id, and writes only while the run's lease holds. */
class FencedCheckpointer extends Checkpointer {
  readonly #run: ClaimedRun
  readonly #failed: (error: Error) => void
  #dead = false
  /** The checkpoints that are known to be in the database. */
  readonly #stored = new Set<string>()
  #waiting: (() => void)[] = []

  constructor(db: Database, run: ClaimedRun, failed: (error: Error) => void) {
    super(db)
    this.#run = run
    this.#failed = failed
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { thread_id, checkpoint_ns = '', checkpoint_id } = config.configurable ?? {}
    const stored = await this.#write(async () => {
      await failpoint('checkpoint.put:before')
      const blobs = await this._dumpBlobs(thread_id, checkpoint_ns, checkpoint.channel_values, newVersions)
      const stamped = { ...this.#run.metadata, ...metadata, run_id: this.#run.run_id }
      return await this.db.query(PUT, [
        ...this.#fence(thread_id),
        checkpoint_ns,
        blobs.map(([, , channel]) => channel),
        blobs.map(([, , , version]) => version),
        blobs.map(([, , , , type]) => type),
        blobs.map(([, , , , , blob]) => (blob === undefined ? null : Buffer.from(blob))),
        checkpoint.id,
        checkpoint_id ?? null,
        jsonbText(JSON.stringify(this._dumpCheckpoint(checkpoint))),
        jsonbText(JSON.stringify(await this._dumpMetadata(stamped))),
      ])
    })
    if (stored) await failpoint('checkpoint.put:after')
    if (stored) this.#note(checkpoint.id)
    return { configurable: { thread_id, checkpoint_ns, checkpoint_id: checkpoint.id } }
  }

  override async getTuple(config: RunnableConfig) {
    const tuple = await this.#read(config)
    const { checkpoint_id } = tuple?.config.configurable ?? {}
    if (typeof checkpoint_id === 'string') this.#note(checkpoint_id)
    return tuple
  }

  /** A subgraph's state is read inside a node, which may take the error for its own failure: the attempt ends with it. */
  async #read(config: RunnableConfig) {
    try {
      return await super.getTuple(config)
    } catch (error) {
      if (error instanceof StorageUnavailable) this.#fail(error)
      throw error
    }
  }

  async committed(checkpointId: string, signal: AbortSignal): Promise<void> {
    while (checkpointId !== '' && !this.#stored.has(checkpointId)) {
      signal.throwIfAborted()
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.push(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
      await promise
    }
  }

  #note(checkpointId: string): void {
    this.#stored.add(checkpointId)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  override async putWrites(config: RunnableConfig, writes: PendingWrite[], taskId: string): Promise<void> {
    const { thread_id, checkpoint_ns = '', checkpoint_id } = config.configurable ?? {}
    const special = writes.every(([channel]) => channel in WRITES_IDX_MAP)
    const stored = await this.#write(async () => {
      await failpoint('checkpoint.writes:before')
      const dumped = await this._dumpWrites(thread_id, checkpoint_ns, checkpoint_id, taskId, writes)
      return await this.db.query(special ? PUT_SPECIAL_WRITES : PUT_WRITES, [
        ...this.#fence(thread_id),
        checkpoint_ns,
        checkpoint_id,
        taskId,
        dumped.map(([, , , , idx]) => idx),
        dumped.map(([, , , , , channel]) => channel),
        dumped.map(([, , , , , , type]) => type),
        dumped.map(([, , , , , , , blob]) => Buffer.from(blob)),
      ])
    })
    if (stored) await failpoint('checkpoint.writes:after')
  }

  #fence(threadId: string): [string, string, string] {
    return [threadId, this.#run.run_id, this.#run.lease_token]
  }

  /** Never rejects (see `Checkpoints.fenced`). After a failure nothing more is tried. */
  async #write(statement: () => Promise<{ rows: unknown[] }>): Promise<boolean> {
    if (this.#dead) return false
    try {
      const { rows } = await statement()
      if (rows.length > 0) return true
      this.#fail(new LeaseLost(this.#run.run_id))
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
    return false
  }

  #fail(error: Error): void {
    if (this.#dead) return
    this.#dead = true
    this.#failed(error)
  }
}
