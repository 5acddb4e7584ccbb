import { randomBytes } from 'node:crypto'
import type { RunnableConfig } from '@langchain/core/runnables'
import {
  type ChannelVersions,
  type Checkpoint,
  type CheckpointMetadata,
  type PendingWrite,
  WRITES_IDX_MAP,
} from '@langchain/langgraph-checkpoint'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import { failpoint } from '../runtime/failpoint.ts'
import { LeaseLost } from '../runtime/lease.ts'
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
  order by checkpoint_id desc limit 1`

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
    async headRunId(threadId) {
      const { rows } = await db.query<{ run_id: string | null }>(HEAD_RUN_ID, [threadId])
      return rows[0]?.run_id ?? undefined
    },
  }
}

/** LangGraph's saver with versions that cannot collide. */
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
}

/** A run's checkpointer: stamps the run's id, and writes only while the run's lease holds. */
class FencedCheckpointer extends Checkpointer {
  readonly #run: ClaimedRun
  readonly #failed: (error: Error) => void
  #dead = false
  /** The newest checkpoint of each namespace that is known to be in the database. Ids rise. */
  readonly #newest = new Map<string, string>()
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
    if (stored) this.#note(checkpoint_ns, checkpoint.id)
    return { configurable: { thread_id, checkpoint_ns, checkpoint_id: checkpoint.id } }
  }

  override async getTuple(config: RunnableConfig) {
    const tuple = await answered(super.getTuple(config))
    const { checkpoint_ns = '', checkpoint_id } = tuple?.config.configurable ?? {}
    if (typeof checkpoint_id === 'string') this.#note(String(checkpoint_ns), checkpoint_id)
    return tuple
  }

  async committed(namespace: string, checkpointId: string, signal: AbortSignal): Promise<void> {
    while ((this.#newest.get(namespace) ?? '') < checkpointId) {
      signal.throwIfAborted()
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.push(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
      await promise
    }
  }

  #note(namespace: string, checkpointId: string): void {
    if ((this.#newest.get(namespace) ?? '') < checkpointId) this.#newest.set(namespace, checkpointId)
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
