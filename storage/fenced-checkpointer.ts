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
import { Checkpointer, writeColumns } from './checkpointer.ts'
import type { Chunks } from './chunks/encode.ts'
import { chunkColumns, insertChunks } from './chunks/rows.ts'
import { createThreadMemory, type ThreadMemory } from './chunks/thread-memory.ts'
import type { WriteRow } from './chunks/writes.ts'
import { type Database, prepared } from './database.ts'

const FENCE = `
  select 1 from runs
  where thread_id = $1::uuid and run_id = $2 and lease_token = $3 and status = 'running'
  for share`

const WRITES = (from: number, onConflict: string) => `
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, packed, refs, run_id)
    select $1::text, ns, checkpoint_id, task_id, idx, channel, type, blob, packed, refs::uuid[], $2::uuid
    from unnest($${from}::text[], $${from + 1}::text[], $${from + 2}::text[], $${from + 3}::integer[],
        $${from + 4}::text[], $${from + 5}::text[], $${from + 6}::bytea[], $${from + 7}::text[], $${from + 8}::text[])
      as w (ns, checkpoint_id, task_id, idx, channel, type, blob, packed, refs)
    where exists (select 1 from fence)
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) ${onConflict}`
const WRITE_COLUMNS = 9
const CHUNKS = (from: number) => insertChunks('$1', from, 'where exists (select 1 from fence)')

// Chunks, checkpoint and fence in one statement: it costs one round trip, and a zombie has nothing to slip between. So do
// the writes of tasks that ended meanwhile.
const putSql = (along: string) =>
  prepared(`
  with fence as (${FENCE})${along}
  insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, state, refs, metadata)
  select $1::text, $4, $5, $6, '{}', $7, $8::uuid[], $9::jsonb from fence
  on conflict (thread_id, checkpoint_ns, checkpoint_id) do update
  set state = excluded.state, refs = excluded.refs, checkpoint = excluded.checkpoint, metadata = excluded.metadata
  returning 1`)

const PUT = putSql('')
const PUT_CHUNKS = putSql(`, chunks as (${CHUNKS(10)})`)
const PUT_WRITES_ALONG = putSql(`, writes as (${WRITES(10, 'do nothing')})`)
const PUT_ALL = putSql(`, writes as (${WRITES(10, 'do nothing')}), chunks as (${CHUNKS(10 + WRITE_COLUMNS)})`)

const putWritesSql = (onConflict: string, along = '') =>
  prepared(`with fence as (${FENCE}), added as (${WRITES(4, onConflict)})${along} select 1 from fence`)

const PUT_WRITES = putWritesSql('do nothing')
const PUT_WRITES_CHUNKS = putWritesSql('do nothing', `, chunks as (${CHUNKS(4 + WRITE_COLUMNS)})`)
// Interrupts, resume values and errors have fixed places, where the newest counts.
const PUT_SPECIAL_WRITES = putWritesSql(
  'do update set channel = excluded.channel, type = excluded.type, blob = excluded.blob',
)

type Part =
  | { kind: 'checkpoint'; values: unknown[]; chunks: Chunks }
  | { kind: 'writes'; rows: PlacedRow[]; chunks: Chunks }

interface PlacedRow extends WriteRow {
  namespace: string
  checkpoint: string
  task: string
}

function columns(rows: readonly PlacedRow[]): unknown[][] {
  return [
    rows.map(({ namespace }) => namespace),
    rows.map(({ checkpoint }) => checkpoint),
    rows.map(({ task }) => task),
    ...writeColumns(rows),
  ]
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
  /** Nobody else writes to the thread while the run's lease holds, and no chunk of it is collected. */
  readonly #memory = createThreadMemory()

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
      const stamped = { ...this.#run.metadata, ...metadata, run_id: this.#run.run_id }
      // The graph goes on meanwhile, and may change its values in place: they are dumped at once.
      const dumped = this.partsOf(config, checkpoint, stamped, newVersions)
      const [{ columns, chunks }] = await Promise.all([dumped, failpoint('checkpoint.put:before')])
      const values = [...this.#fence(thread_id), checkpoint_ns, ...columns]
      return await this.#soon({ kind: 'checkpoint', values, chunks })
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

  protected override memoryOf(): ThreadMemory {
    return this.#memory
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
      const dumped = this.writeParts(thread_id, writes)
      const [{ rows, chunks }] = await Promise.all([dumped, failpoint('checkpoint.writes:before')])
      const placed = rows.map((row) => ({
        ...row,
        namespace: checkpoint_ns,
        checkpoint: checkpoint_id,
        task: taskId,
      }))
      if (!special) return await this.#soon({ kind: 'writes', rows: placed, chunks })
      return await this.#store(PUT_SPECIAL_WRITES, [...this.#fence(thread_id), ...columns(placed)])
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
    const written = parts.filter((part) => part.kind === 'writes')
    const statements = others.map((part) => this.#storeTogether(part, []))
    if (first !== undefined || written.length > 0) statements.push(this.#storeTogether(first, written))
    return (await Promise.all(statements)).every(Boolean)
  }

  /** Whoever finds a chunk in another statement under way sends it, too: that one may fail. */
  async #storeTogether(
    put: Extract<Part, { kind: 'checkpoint' }> | undefined,
    written: Extract<Part, { kind: 'writes' }>[],
  ): Promise<boolean> {
    const parts = put === undefined ? written : [put, ...written]
    const added = new Map(parts.flatMap(({ chunks }) => [...chunks.added]))
    const rows = written.flatMap((part) => part.rows)
    const values: unknown[] = [...(put?.values ?? this.#fence(this.#run.thread_id))]
    if (put === undefined || rows.length > 0) values.push(...columns(rows))
    if (added.size > 0) values.push(...chunkColumns(added))
    const stored = await this.#store(statementFor(put !== undefined, rows.length > 0, added.size > 0), values)
    if (stored) for (const { chunks } of parts) chunks.stored()
    return stored
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

function statementFor(put: boolean, writes: boolean, chunks: boolean): string {
  if (!put) return chunks ? PUT_WRITES_CHUNKS : PUT_WRITES
  if (writes) return chunks ? PUT_ALL : PUT_WRITES_ALONG
  return chunks ? PUT_CHUNKS : PUT
}
