import type { RunnableConfig } from '@langchain/core/runnables'
import {
  type ChannelVersions,
  type Checkpoint,
  type CheckpointMetadata,
  type PendingWrite,
  WRITES_IDX_MAP,
} from '@langchain/langgraph-checkpoint'
import { failpoint } from '../runtime/failpoint.ts'
import { LeaseLost, StorageUnavailable } from '../runtime/lease.ts'
import type { ClaimedRun } from '../runtime/run.ts'
import { Checkpointer } from './checkpointer.ts'
import { type Database, prepared } from './database.ts'

const FENCE = `
  select 1 from runs
  where thread_id = $1::uuid and run_id = $2 and lease_token = $3 and status = 'running'
  for share`

const WRITES = (from: number, onConflict: string) => `
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, run_id)
    select $1::text, ns, checkpoint_id, task_id, idx, channel, type, blob, $2::uuid
    from unnest($${from}::text[], $${from + 1}::text[], $${from + 2}::text[], $${from + 3}::integer[],
        $${from + 4}::text[], $${from + 5}::text[], $${from + 6}::bytea[])
      as w (ns, checkpoint_id, task_id, idx, channel, type, blob)
    where exists (select 1 from fence)
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) ${onConflict}`

// Blobs, checkpoint and fence in one statement: it costs one round trip, and a zombie has nothing to slip between. So do
// the writes of tasks that ended meanwhile.
const putSql = (along: string) =>
  prepared(`
  with fence as (${FENCE}), ${along} blobs as (
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
  returning 1`)

const PUT = putSql('')
const PUT_WITH_WRITES = putSql(`writes as (${WRITES(13, 'do nothing')}), `)

const putWritesSql = (onConflict: string) =>
  prepared(`with fence as (${FENCE}), added as (${WRITES(4, onConflict)}) select 1 from fence`)

const PUT_WRITES = putWritesSql('do nothing')
// Interrupts, resume values and errors have fixed places, where the newest counts.
const PUT_SPECIAL_WRITES = putWritesSql(
  'do update set channel = excluded.channel, type = excluded.type, blob = excluded.blob',
)

/** `checkpoint_writes` of a task: namespace, checkpoint, task, index, channel, type, value. */
type WriteRow = [string, string, string, number, string, string, Buffer]
type Part = { kind: 'checkpoint'; values: unknown[] } | { kind: 'writes'; rows: WriteRow[] }

function columns(rows: WriteRow[]): unknown[][] {
  return [0, 1, 2, 3, 4, 5, 6].map((column) => rows.map((row) => row[column]))
}

/** The runs that have written, through whichever of their savers. */
const begun = new WeakSet<ClaimedRun>()

/** A run's checkpointer: stamps the run's id, and writes only while the run's lease holds. */
export class FencedCheckpointer extends Checkpointer {
  readonly #run: ClaimedRun
  readonly #failed: (error: Error) => void
  #dead = false
  /** The checkpoints that are known to be in the database. */
  readonly #stored = new Set<string>()
  /** What goes to the database when the event loop comes round. */
  #next: { parts: Part[]; stored: Promise<boolean> } | undefined
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
    const { thread_id, checkpoint_ns = '' } = config.configurable ?? {}
    const stored = await this.#prepared(async () => {
      await failpoint('checkpoint.put:before')
      const stamped = { ...this.#run.metadata, ...metadata, run_id: this.#run.run_id }
      const values = [
        ...this.#fence(thread_id),
        checkpoint_ns,
        ...(await this.columnsOf(config, checkpoint, stamped, newVersions)),
      ]
      return await this.#soon({ kind: 'checkpoint', values })
    })
    if (stored) await failpoint('checkpoint.put:after')
    if (stored) this.#note(checkpoint.id)
    return { configurable: { thread_id, checkpoint_ns, checkpoint_id: checkpoint.id } }
  }

  override async getTuple(config: RunnableConfig) {
    // A thread that never ran has nothing to be read, before this run, which alone may write there, has written.
    if (!this.#run.continues && !begun.has(this.#run)) return undefined
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
    const stored = await this.#prepared(async () => {
      await failpoint('checkpoint.writes:before')
      const dumped = await this._dumpWrites(thread_id, checkpoint_ns, checkpoint_id, taskId, writes)
      const rows = dumped.map(([, ns, checkpoint, task, idx, channel, type, blob]): WriteRow => [
        ns,
        checkpoint,
        task,
        idx,
        channel,
        type,
        Buffer.from(blob),
      ])
      if (!special) return await this.#soon({ kind: 'writes', rows })
      return await this.#store(PUT_SPECIAL_WRITES, [...this.#fence(thread_id), ...columns(rows)])
    })
    if (stored) await failpoint('checkpoint.writes:after')
  }

  #fence(threadId: string): [string, string, string] {
    return [threadId, this.#run.run_id, this.#run.lease_token]
  }

  /**
   * LangGraph stores a step's checkpoint while the step's tasks run: the writes of those that are quick travel with it.
   * Nothing waits longer than the event loop takes to come round.
   */
  #soon(part: Part): Promise<boolean> {
    begun.add(this.#run)
    if (this.#next === undefined) {
      const parts: Part[] = []
      const { promise: stored, resolve } = Promise.withResolvers<boolean>()
      setImmediate(() => {
        this.#next = undefined
        resolve(this.#storeAll(parts))
      })
      this.#next = { parts, stored }
    }
    this.#next.parts.push(part)
    return this.#next.stored
  }

  async #storeAll(parts: Part[]): Promise<boolean> {
    const [first, ...others] = parts.filter((part) => part.kind === 'checkpoint')
    const rows = parts.flatMap((part) => (part.kind === 'writes' ? part.rows : []))
    const statements = others.map(({ values }) => this.#store(PUT, values))
    if (first === undefined)
      statements.push(this.#store(PUT_WRITES, [...this.#fence(this.#run.thread_id), ...columns(rows)]))
    else if (rows.length === 0) statements.push(this.#store(PUT, first.values))
    else statements.push(this.#store(PUT_WITH_WRITES, [...first.values, ...columns(rows)]))
    return (await Promise.all(statements)).every(Boolean)
  }

  /** False where the lease is not ours any more. Throws what the database does. */
  async #store(sql: string, values: unknown[]): Promise<boolean> {
    const { rows } = await this.db.query(sql, values)
    if (rows.length === 0) this.#fail(new LeaseLost(this.#run.run_id))
    return rows.length > 0
  }

  /** Never rejects (see `Checkpoints.fenced`). After a failure nothing more is tried. */
  async #prepared(write: () => Promise<boolean>): Promise<boolean> {
    if (this.#dead) return false
    try {
      return await write()
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
      return false
    }
  }

  #fail(error: Error): void {
    if (this.#dead) return
    this.#dead = true
    this.#failed(error)
  }
}
