import type { RunnableConfig } from '@langchain/core/runnables'
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointMetadata,
  type CheckpointTuple,
  type PendingWrite,
} from '@langchain/langgraph-checkpoint'
import { RuntimeError } from '../runtime/errors.ts'
import type { CreatedThread, DraftedState, StateDraft } from '../runtime/checkpoints.ts'
import type { StateLimits } from '../runtime/state-limits.ts'
import { topics } from '../runtime/topics.ts'
import type { ThreadTtl } from '../runtime/thread.ts'
import { cancelHolds } from './cancel-holds.ts'
import { Checkpointer } from './checkpointer.ts'
import { type Database, jsonb, jsonbText, type Queryable, type Transaction } from './database.ts'
import { person } from './record-of-holds.ts'
import { UNUSED } from './remove-thread.ts'
import { notify } from './signals.ts'

const LAST_POSITION = 'select max(position)::text as last from checkpoints where thread_id = $1'

const CREATE = `
  insert into threads (thread_id, metadata, ttl_minutes, ttl_strategy, tenant_id)
  select $1::uuid, $2::jsonb, $3::double precision, $4, $5 where ${UNUSED}
  on conflict (thread_id) do nothing
  returning thread_id`

const LOCK = 'select from threads where thread_id = $1 for update'

/** Asked in a statement of its own: one that waited for the lock would see what was before it waited. */
const ACTIVE = `
  select exists (select 1 from runs where thread_id = $1 and status in ('pending', 'running')) as active`

const THERE = `
  select count(*)::integer as n from checkpoints
  where thread_id = $1 and (checkpoint_ns, checkpoint_id) in (select * from unnest($2::text[], $3::text[]))`

const THREAD = `
  update threads
  set "values" = $2::jsonb, interrupts = $3::jsonb, paused = $4, error = null,
    status = case when $4 then 'interrupted' else 'idle' end,
    written_by = array(select distinct unnest(written_by || $5::text) order by 1),
    updated_at = now(), state_updated_at = now()
  where thread_id = $1`

/** Begins a change of the thread's state outside any run. Nothing of it is written before `commit`. */
export async function createDraft(
  db: Database,
  threadId: string,
  by: string,
  { usual, limits }: { usual: ThreadTtl | undefined; limits: StateLimits },
): Promise<StateDraft> {
  const before = await lastPosition(db, threadId)
  const saver = new DraftCheckpointer(db, by, limits)
  return {
    saver,
    commit: (state, created) =>
      db.transaction(async (client) => {
        if (created !== undefined) await createThread(client, threadId, created, created.ttl ?? usual)
        await lockIdle(client, threadId)
        // Somebody else has changed the thread since: what was computed here is of a state that is no more.
        if ((await lastPosition(client, threadId)) !== before) return false
        // Pruned meanwhile: what is replayed from the states before would be lost (`DeltaChannel`).
        if (!(await areThere(client, threadId, saver.parents))) return false
        for (const { sql, values } of saver.statements) await client.query(sql, values)
        await writeState(client, threadId, state, by)
        return true
      }),
  }
}

async function areThere(
  client: Queryable,
  threadId: string,
  places: ReadonlyMap<string, Place>,
): Promise<boolean> {
  if (places.size === 0) return true
  const list = [...places.values()]
  const { rows } = await client.query<{ n: number }>(THERE, [
    threadId,
    list.map(({ checkpoint_ns: ns }) => ns),
    list.map(({ checkpoint_id: id }) => id),
  ])
  return rows[0]?.n === list.length
}

async function createThread(
  client: Queryable,
  threadId: string,
  { metadata, tenant }: CreatedThread,
  ttl: ThreadTtl | undefined,
): Promise<void> {
  const { rows } = await client.query(CREATE, [
    threadId,
    jsonb(metadata),
    ttl?.ttl_minutes ?? null,
    ttl?.strategy ?? null,
    tenant,
  ])
  if (rows.length > 0) return
  throw new RuntimeError(
    'thread_exists',
    `Thread ${threadId} already exists, or did. Use it, or create one with another id.`,
  )
}

async function lockIdle(client: Queryable, threadId: string): Promise<void> {
  const { rowCount } = await client.query(LOCK, [threadId])
  if (rowCount === 0) throw new RuntimeError('thread_not_found', `Thread ${threadId} does not exist.`)
  const { rows } = await client.query<{ active: boolean }>(ACTIVE, [threadId])
  if (rows[0]?.active !== true) return
  throw new RuntimeError(
    'thread_busy',
    `Thread ${threadId} has a run that has not ended. Wait for it or cancel it, then change the state.`,
  )
}

async function lastPosition(db: Queryable, threadId: string): Promise<string | null> {
  const { rows } = await db.query<{ last: string | null }>(LAST_POSITION, [threadId])
  return rows[0]?.last ?? null
}

async function writeState(
  client: Transaction,
  threadId: string,
  state: DraftedState,
  by: string,
): Promise<void> {
  const { interrupts, values, paused } = state
  const waiting = Object.values(interrupts).flatMap((list) => list.map(({ id }) => id))
  await cancelHolds(client, threadId, { waiting, who: person(by), cause: 'state_update' })
  await client.query(THREAD, [
    threadId,
    jsonbText(values),
    jsonb(interrupts),
    paused || waiting.length > 0,
    by,
  ])
  await notify(client, topics.thread(threadId))
}

interface Place {
  checkpoint_ns: string
  checkpoint_id: string
}

/** Keeps what is put as statements for later, and reads it back as if it were stored. */
class DraftCheckpointer extends Checkpointer {
  readonly statements: { sql: string; values: unknown[] }[] = []
  /** What the draft's checkpoints come after that is in the database. */
  readonly parents = new Map<string, Place>()
  /** By namespace, in the order of the puts. */
  readonly #drafted = new Map<string, CheckpointTuple[]>()
  /** The tuple that was read last, by namespace: what the next put is made of. */
  readonly #base = new Map<string, CheckpointTuple>()
  readonly #by: string

  constructor(db: Database, by: string, limits: StateLimits) {
    super(db, limits)
    this.#by = by
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const { checkpoint_ns = '', checkpoint_id } = config.configurable ?? {}
    const drafted = this.#drafted.get(checkpoint_ns) ?? []
    const found =
      checkpoint_id === undefined
        ? drafted.at(-1)
        : drafted.find(({ checkpoint }) => checkpoint.id === checkpoint_id)
    const tuple = found === undefined ? await super.getTuple(config) : await this.#copy(found)
    if (tuple !== undefined) this.#base.set(checkpoint_ns, await this.#copy(tuple))
    return tuple
  }

  override async put(
    config: RunnableConfig,
    given: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { thread_id, checkpoint_ns = '', checkpoint_id } = config.configurable ?? {}
    const { checkpoint, versions } = await this.#versioned(checkpoint_ns, given, newVersions)
    // A change by hand is no run's: one that is rolled back must not take it away.
    const { run_id: _, ...rest } = metadata as CheckpointMetadata & { run_id?: string }
    const own = { ...rest, written_by: this.#by }
    // All chunks are sent: between the reading and the commit the thread may lose what was read.
    this.statements.push(await this.putStatement(config, checkpoint, own, versions))
    const earlier = this.#drafted.get(checkpoint_ns) ?? []
    if (checkpoint_id !== undefined && !earlier.some((one) => one.checkpoint.id === checkpoint_id))
      this.parents.set(`${checkpoint_ns}\0${checkpoint_id}`, { checkpoint_ns, checkpoint_id })
    const place = { configurable: { thread_id, checkpoint_ns, checkpoint_id: checkpoint.id } }
    const tuple: CheckpointTuple = {
      config: place,
      checkpoint,
      metadata: own,
      pendingWrites: [],
      ...(checkpoint_id === undefined
        ? {}
        : { parentConfig: { configurable: { thread_id, checkpoint_ns, checkpoint_id } } }),
    }
    this.#drafted.set(checkpoint_ns, [...earlier, await this.#copy(tuple)])
    return place
  }

  override async putWrites(config: RunnableConfig, writes: PendingWrite[], taskId: string): Promise<void> {
    const { checkpoint_ns = '', checkpoint_id } = config.configurable ?? {}
    this.statements.push(await this.writesStatement(config, writes, taskId))
    const drafted = this.#drafted
      .get(checkpoint_ns)
      ?.find(({ checkpoint }) => checkpoint.id === checkpoint_id)
    drafted?.pendingWrites?.push(
      ...writes.map(([channel, value]): [string, string, unknown] => [taskId, channel, value]),
    )
  }

  /**
   * LangGraph applies what the finished tasks of a half-done superstep wrote without giving those channels new
   * versions (`bulkUpdateState` calls `_applyWrites` without `getNextVersion`), and by its version a value is stored:
   * it would be lost. Whatever is not what was read gets a version here.
   */
  async #versioned(
    namespace: string,
    checkpoint: Checkpoint,
    newVersions: ChannelVersions,
  ): Promise<{ checkpoint: Checkpoint; versions: ChannelVersions }> {
    const base = this.#base.get(namespace)?.checkpoint
    if (base === undefined) return { checkpoint, versions: newVersions }
    const versions = { ...newVersions }
    for (const [channel, version] of Object.entries(checkpoint.channel_versions)) {
      if (channel in versions || base.channel_versions[channel] !== version) continue
      if (await this.#same(checkpoint.channel_values[channel], base.channel_values[channel])) continue
      versions[channel] = this.getNextVersion(version as number)
    }
    return {
      checkpoint: { ...checkpoint, channel_versions: { ...checkpoint.channel_versions, ...versions } },
      versions,
    }
  }

  async #same(one: unknown, other: unknown): Promise<boolean> {
    if (one === undefined || other === undefined) return one === other
    const [[, a], [, b]] = await Promise.all([this.serde.dumpsTyped(one), this.serde.dumpsTyped(other)])
    return Buffer.from(a).equals(Buffer.from(b))
  }

  /** What was put into the draft is not in the database. */
  override getDeltaChannelHistory(options: Parameters<Checkpointer['getDeltaChannelHistory']>[0]) {
    return BaseCheckpointSaver.prototype.getDeltaChannelHistory.call(this, options)
  }

  /** As the database would give it back: LangGraph works on what it reads. */
  async #copy(tuple: CheckpointTuple): Promise<CheckpointTuple> {
    const [type, bytes] = await this.serde.dumpsTyped(tuple.checkpoint)
    return {
      ...tuple,
      checkpoint: (await this.serde.loadsTyped(type, bytes)) as Checkpoint,
      ...(tuple.pendingWrites === undefined ? {} : { pendingWrites: [...tuple.pendingWrites] }),
    }
  }
}
