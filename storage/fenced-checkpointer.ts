import type { RunnableConfig } from '@langchain/core/runnables'
import {
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type PendingWrite,
  WRITES_IDX_MAP,
} from '@langchain/langgraph-checkpoint'
import { failpoint } from '../runtime/failpoint.ts'
import { LeaseLost, StorageUnavailable } from '../runtime/lease.ts'
import type { ClaimedRun } from '../runtime/run.ts'
import type { StateLimits } from '../runtime/state-limits.ts'
import { Checkpointer } from './checkpointer.ts'
import type { Chunks } from './chunks/encode.ts'
import { chunkColumns } from './chunks/rows.ts'
import { createThreadMemory, type ThreadMemory } from './chunks/thread-memory.ts'
import { writeColumns, type WriteRow } from './chunks/writes.ts'
import type { Database } from './database.ts'
import { PUT_SPECIAL_WRITES, statementFor } from './fenced-statements.ts'

/** How long the checkpoint of an input waits for what comes next. */
const HELD_MS = 20

interface Put {
  kind: 'checkpoint'
  values: unknown[]
  chunks: Chunks
}

interface Writes {
  kind: 'writes'
  rows: PlacedRow[]
  chunks: Chunks
}

type Part = Put | Writes

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
  /** The checkpoint of the run's input, which travels with whatever comes next: until then the run is all that it takes to make it again. */
  #held: { part: Put; resolve: (stored: Promise<boolean>) => void; timer: NodeJS.Timeout } | undefined
  /** Of the statement that took it. What comes next builds on it, and LangGraph takes it for stored already. */
  #before = Promise.resolve(true)
  /** What goes to the database when the event loop comes round. */
  #next: { parts: Part[]; stored: Promise<boolean> } | undefined
  #waiting: (() => void)[] = []
  /** Nobody else writes to the thread while the run's lease holds, and no chunk of it is collected. */
  readonly #memory = createThreadMemory()

  constructor(
    db: Database,
    run: ClaimedRun,
    { failed, limits }: { failed: (error: Error) => void; limits: StateLimits },
  ) {
    super(db, limits)
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
    const waits = checkpoint_ns === '' && metadata.source === 'input'
    const { promise: held, resolve: isHeld } = Promise.withResolvers<void>()
    const stored = this.#prepared(async () => {
      const stamped = { ...this.#run.metadata, ...metadata, run_id: this.#run.run_id }
      // The graph goes on meanwhile, and may change its values in place: they are dumped at once.
      const dumped = this.partsOf(config, checkpoint, stamped, newVersions)
      const [{ columns, chunks, note }] = await Promise.all([dumped, failpoint('checkpoint.put:before')])
      // What waits is stored before anything that is made from it, or nothing is stored any more.
      if (waits) note()
      else chunks.onStored(note)
      const part: Put = { kind: 'checkpoint', values: [checkpoint_ns, ...columns], chunks }
      if (!waits) return await this.#soon(part)
      const travelled = this.#hold(part)
      isHeld()
      return await travelled
    }).then((done) => this.#noted(checkpoint.id, done))
    await (waits ? Promise.race([held, stored]) : stored)
    return { configurable: { thread_id, checkpoint_ns, checkpoint_id: checkpoint.id } }
  }

  async #noted(checkpointId: string, stored: boolean): Promise<void> {
    if (!stored) return
    await failpoint('checkpoint.put:after')
    this.#note(checkpointId)
  }

  override async getTuple(config: RunnableConfig) {
    // A thread that never ran has nothing to be read, before this run, which alone may write there, has written.
    if (!this.#run.continues && !begun.has(this.#run)) return undefined
    await this.flush()
    const tuple = await this.#read(config)
    const { checkpoint_id } = tuple?.config.configurable ?? {}
    if (typeof checkpoint_id === 'string') this.#note(checkpoint_id)
    return tuple
  }

  override async getDeltaChannelHistory(asked: Parameters<Checkpointer['getDeltaChannelHistory']>[0]) {
    await this.flush()
    return await super.getDeltaChannelHistory(asked)
  }

  override async *list(config: RunnableConfig, options?: CheckpointListOptions) {
    await this.flush()
    try {
      yield* super.list(config, options)
    } catch (error) {
      throw this.#unread(error)
    }
  }

  protected override memoryOf(): ThreadMemory {
    return this.#memory
  }

  async #read(config: RunnableConfig) {
    try {
      return await super.getTuple(config)
    } catch (error) {
      throw this.#unread(error)
    }
  }

  /** A subgraph's state is read inside a node, which may take the error for its own failure: the attempt ends with it. */
  #unread(error: unknown): unknown {
    if (error instanceof StorageUnavailable) this.#fail(error)
    return error
  }

  async committed(checkpointId: string, signal: AbortSignal): Promise<void> {
    await this.flush()
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
      await this.flush()
      return await this.#store(PUT_SPECIAL_WRITES, [...this.#fence(thread_id), ...columns(placed)])
    })
    if (stored) await failpoint('checkpoint.writes:after')
  }

  #fence(threadId: string): [string, string, string] {
    return [threadId, this.#run.run_id, this.#run.lease_token]
  }

  /** Keeps it for what comes next. A graph may be at its first task for long: readers do not wait for that. */
  #hold(part: Put): Promise<boolean> {
    begun.add(this.#run)
    const { promise, resolve } = Promise.withResolvers<boolean>()
    this.#held = { part, resolve, timer: setTimeout(() => void this.flush(), HELD_MS) }
    return promise
  }

  async flush(): Promise<void> {
    if (this.#held !== undefined) await this.#prepared(() => this.#soon())
    await this.#before
  }

  /**
   * LangGraph stores a step's checkpoint while the step's tasks run: the writes of those that are quick travel with it.
   * Nothing waits longer than the event loop takes to come round.
   */
  #soon(part?: Part): Promise<boolean> {
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
    if (part !== undefined) this.#next.parts.push(part)
    return this.#next.stored
  }

  async #storeAll(parts: Part[]): Promise<boolean> {
    const held = this.#held
    this.#held = undefined
    clearTimeout(held?.timer)
    const [first, ...others] = parts.filter((part) => part.kind === 'checkpoint')
    const written = parts.filter((part) => part.kind === 'writes')
    const together = [held?.part, first].filter((put) => put !== undefined)
    const stored = this.#before.then((may) => may && this.#storeTogether(together, written))
    if (held !== undefined) {
      this.#before = stored.catch(() => false)
      held.resolve(this.#before)
    }
    const beside = others.map((put) => this.#before.then((may) => may && this.#storeTogether([put], [])))
    const all = await Promise.all([stored, ...beside])
    return all.every(Boolean)
  }

  /** Whoever finds a chunk in another statement under way sends it, too: that one may fail. */
  async #storeTogether(puts: Put[], written: Writes[]): Promise<boolean> {
    const parts = [...puts, ...written]
    if (parts.length === 0) return true
    const added = new Map(parts.flatMap(({ chunks }) => [...chunks.added]))
    const rows = written.flatMap((part) => part.rows)
    const values: unknown[] = [...this.#fence(this.#run.thread_id), ...puts.flatMap((put) => put.values)]
    const load = { puts: puts.length, writes: rows.length > 0, chunks: added.size > 0 }
    if (load.writes) values.push(...columns(rows))
    if (load.chunks) values.push(...chunkColumns(added))
    const stored = await this.#store(statementFor(load), values)
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
