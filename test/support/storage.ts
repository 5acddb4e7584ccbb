import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { LOCAL } from '../../runtime/people.ts'
import { auditKeys } from '../../runtime/audit.ts'
import { argsHash, approvalId } from '../../runtime/call.ts'
import { ONE_PERSON } from '../../runtime/needs.ts'
import { newId } from '../../runtime/ids.ts'
import { systemAssistantId } from '../../runtime/assistant.ts'
import type { Json } from '../../runtime/json.ts'
import { createLiveHub } from '../../runtime/live-events.ts'
import type { Outcome, ThreadState } from '../../runtime/outcome.ts'
import type { ClaimedRun, NewRun, RunRequest } from '../../runtime/run.ts'
import { createAssistants } from '../../storage/assistants.ts'
import { createCheckpoints } from '../../storage/checkpoints.ts'
import { createCrons } from '../../storage/crons.ts'
import type { Connection, Database, Queryable } from '../../storage/database.ts'
import { createEventLog } from '../../storage/events.ts'
import { createHolds } from '../../storage/holds.ts'
import { ownSecret } from '../../storage/own-secret.ts'
import { openPglite } from '../../storage/pglite.ts'
import { openPostgres } from '../../storage/postgres.ts'
import { createQueue } from '../../storage/queue.ts'
import { withRecord } from '../../storage/record.ts'
import { createRuns } from '../../storage/runs.ts'
import { createSignals } from '../../storage/signals.ts'
import { createThreads } from '../../storage/threads.ts'
import { createWebhookEndpoints } from '../../storage/webhook-endpoints.ts'
import { createWebhooks } from '../../storage/webhooks.ts'
import type { EachDatabase, Place } from './each-database.ts'

const EMPTY =
  'truncate threads, runs, crons, holds, grants, events, workers, webhooks, webhook_endpoints, checkpoints, checkpoint_blobs, checkpoint_writes, checkpoint_chunks, checkpoint_garbage'

export interface StoragePorts extends Awaited<ReturnType<typeof portsOver>> {
  db: Database
}

/**
 * The storage's ports, over the suite's database, empty before each test. `other` is what a second process would have:
 * on PostgreSQL connections of its own, on PGlite, which one process alone can open, the same.
 */
export function useStorage(database: EachDatabase): {
  readonly mine: StoragePorts
  readonly other: StoragePorts
} {
  let opened: { mine: StoragePorts; other: StoragePorts } | undefined
  beforeAll(async () => {
    const mine = await openDatabase(database.place)
    const other = database.embedded ? mine : await openDatabase(database.place)
    opened = {
      mine: { db: mine, ...(await portsOver(mine)) },
      other: { db: other, ...(await portsOver(other)) },
    }
  })
  beforeEach(async () => {
    await opened?.mine.db.query(EMPTY)
  })
  afterAll(async () => {
    await opened?.mine.db.close()
    if (opened !== undefined && opened.other.db !== opened.mine.db) await opened.other.db.close()
  })
  const get = () => {
    if (opened === undefined) throw new Error('The storage is open from beforeAll on.')
    return opened
  }
  return {
    get mine() {
      return get().mine
    },
    get other() {
      return get().other
    },
  }
}

export async function openDatabase(place: Place): Promise<Database> {
  const { databaseUrl, dataDir } = place
  const connection =
    databaseUrl === undefined
      ? await openPglite(dataDir)
      : await openPostgres(databaseUrl, { poolSize: 5, connectTimeoutMs: 3_000 })
  return withRecord(connection, auditKeys(await secretAt(place)))
}

/** What the place's record is keyed with. */
export async function secretAt({ secret, dataDir }: Place): Promise<string> {
  return secret ?? (await ownSecret(dataDir))
}

/** The ports over a database that tells each statement. */
export async function watchedPorts(db: Database, secret: string, tell: (sql: string) => void) {
  const watched = <Query extends Queryable['query']>(query: Query) =>
    ((text: string, values?: unknown[]) => {
      tell(text)
      return query(text, values)
    }) as Query
  const connection: Connection = {
    ...db,
    query: watched(db.query),
    // The record is kept above, so that its statements are told, too.
    transaction: (work) =>
      db.transaction((client) => work({ query: watched(client.query), last: watched(client.last) })),
  }
  return { db, ...(await portsOver(withRecord(connection, auditKeys(secret)))) }
}

async function portsOver(db: Database) {
  const live = createLiveHub()
  return {
    assistants: createAssistants(db),
    threads: createThreads(db),
    runs: createRuns(db),
    queue: createQueue(db),
    crons: createCrons(db),
    events: createEventLog(db),
    holds: createHolds(db),
    checkpoints: createCheckpoints(db),
    webhooks: createWebhooks(db),
    webhookEndpoints: createWebhookEndpoints(db),
    signals: await createSignals(db, live),
    live,
  }
}

export const NOTHING_ASKED: RunRequest = {
  input: null,
  command: null,
  config: {},
  context: {},
  checkpoint: null,
  interrupt_before: null,
  interrupt_after: null,
  stream_mode: ['values'],
  stream_subgraphs: false,
  stream_resumable: false,
  durability: 'sync',
  on_disconnect: 'continue',
}

export async function createThread(
  { threads }: Pick<StoragePorts, 'threads'>,
  metadata: Record<string, Json> = {},
): Promise<string> {
  const { thread_id } = await threads.create({
    thread_id: newId(),
    metadata,
    tenant: 'default',
    ifExists: 'raise',
  })
  return thread_id
}

export async function createRun(
  { runs, assistants }: Pick<StoragePorts, 'runs' | 'assistants'>,
  threadId: string,
  given: Partial<Omit<NewRun, 'request'>> & { request?: Partial<RunRequest> } = {},
  { createThread: creates = false }: { createThread?: boolean } = {},
): Promise<string> {
  const { request, ...rest } = given
  await assistants.ensureSystem([{ graph_id: 'test', description: null }])
  const run = await runs.create(
    {
      run_id: newId(),
      thread_id: threadId,
      assistant_id: systemAssistantId('test'),
      requested_by: [],
      requester_roles: null,
      metadata: {},
      multitask_strategy: 'enqueue',
      after_seconds: 0,
      ...rest,
      request: { ...NOTHING_ASKED, ...request },
    },
    { createThread: creates, allowed: {}, by: LOCAL, answers: [] },
  )
  return run.run_id
}

/** A worker that lives for a minute. */
export async function createWorker({ queue }: Pick<StoragePorts, 'queue'>): Promise<string> {
  const id = newId()
  await queue.heartbeat(id, 60_000)
  return id
}

/** Claims until nothing more can be claimed, and returns the run of that thread. Throws where there is none. */
export async function claimOf(
  ports: Pick<StoragePorts, 'queue'>,
  worker: string,
  threadId: string,
): Promise<ClaimedRun> {
  const claimed = await ports.queue.claim(worker, 100)
  const run = claimed.find((one) => one.thread_id === threadId)
  if (run === undefined) throw new Error(`No run of thread ${threadId} could be claimed.`)
  return run
}

/** The run of a new thread, claimed; by a new worker, unless one is named. */
export async function createClaimed(ports: StoragePorts, worker?: string): Promise<ClaimedRun> {
  const threadId = await createThread(ports)
  await createRun(ports, threadId)
  return await claimOf(ports, worker ?? (await createWorker(ports)), threadId)
}

/** What a worker leaves behind that was killed a lease ago. */
export async function expireWorker({ db }: StoragePorts, worker: string): Promise<void> {
  await db.query(
    `update workers set expires_at = clock_timestamp() - interval '1 second' where worker_id = $1`,
    [worker],
  )
}

export function endedWell(state: Partial<ThreadState> = {}): Extract<Outcome, { status: 'success' }> {
  return { status: 'success', events: { from: 0, list: [] }, state: threadState(state) }
}

export function threadState(state: Partial<ThreadState> = {}): ThreadState {
  return { complete: true, values: '{}', interrupts: {}, waiting: [], paused: false, holds: [], ...state }
}

/** A thread's state with one interrupt that asks for one approval for each of the argument objects. */
export function pausedState(
  threadId: string,
  argsOfCalls: Record<string, Json>[],
  interruptId = newId().replaceAll('-', ''),
  messageId = newId(),
): ThreadState & { interruptId: string; messageId: string } {
  const holds = argsOfCalls.map((args, index) => {
    const hash = argsHash(args)
    const callId = `call-${index}`
    return {
      kind: 'tool' as const,
      approval_id: approvalId({ threadId, messageId, callId }, hash),
      message_id: messageId,
      call_id: callId,
      tool: 'send_email',
      args,
      args_hash: hash,
      risk: 'medium',
      reason: 'a test',
      rule: null,
      policy_version: '',
      tool_version: '1',
      preview: null,
      preview_hash: null,
      no_preview: null,
      replaces: null,
      args_schema: null,
      needs: ONE_PERSON,
      interrupt_id: interruptId,
    }
  })
  return {
    ...threadState({
      interrupts: { 'task-1': [{ id: interruptId, value: { type: 'holdpoint.hold' } }] },
      paused: true,
      holds,
    }),
    interruptId,
    messageId,
  }
}

/** Runs something that must be waiting for a lock, and says so only when the database does. */
export async function untilBlocked({ db }: StoragePorts): Promise<void> {
  for (;;) {
    const { rows } = await db.query(
      `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
    if (rows.length > 0) return
    await sleep(10)
  }
}
