import type { Pregel } from '@langchain/langgraph/pregel'
import type { Allowed } from './allowed.ts'
import type { Assistant, AssistantChange, AssistantFilter } from './assistant.ts'
import type { CallKey } from './call.ts'
import type { Cron, CronChange, CronFilter, Fired, NewCron, ScheduledCron } from './cron.ts'
import type { DecisionLink } from './decision-link.ts'
import type { Effect, Ledger } from './effect.ts'
import type { NewEvent, RunEvent, StartedRun } from './event.ts'
import type { Decision, EditedArgs, Hold, HoldFilter, InterruptAnswer } from './hold.ts'
import type { Json } from './json.ts'
import type { Observations } from './observed.ts'
import type { Outcome } from './outcome.ts'
import type { Person } from './people.ts'
import type { AskedAgain, Release } from './run-context.ts'
import type { ActiveRuns, CancelAction, ClaimedRun, NewRun, Run, RunStatus } from './run.ts'
import type { StartRequest } from './start-run.ts'
import type { ItemKey, ItemSearch, ItemWrite, NamespaceSearch, StoreItem } from './store.ts'
import type {
  Page,
  PruneOptions,
  PruneStrategy,
  Thread,
  ThreadFilter,
  ThreadStorage,
  ThreadTtl,
} from './thread.ts'

/** A compiled graph, whatever its state. */
// oxlint-disable-next-line typescript/no-explicit-any -- Pregel's own type parameters are not usable from outside
export type Graph = Pregel<any, any>

/** The graphs that this server offers. */
export interface Graphs {
  ids(): string[]
  /** The graph with our checkpointer in it. Throws `graph_not_found`. */
  get(graphId: string, config: Record<string, unknown>): Promise<Graph>
}

export interface Assistants {
  get(assistantId: string, allowed?: Allowed): Promise<Assistant | undefined>
  search(filter: AssistantFilter): Promise<Page<Assistant>>
  count(filter: Pick<AssistantFilter, 'graph_id' | 'name' | 'metadata' | 'allowed'>): Promise<number>
  /** Its first version. Throws `assistant_exists` unless `ifExists` is `do_nothing`. */
  create(
    assistant: Omit<Assistant, 'version' | 'created_at' | 'updated_at'>,
    ifExists: 'raise' | 'do_nothing',
    tenant: string,
  ): Promise<Assistant>
  /** A new version with what is given; `metadata` is merged. */
  update(assistantId: string, change: AssistantChange): Promise<Assistant | undefined>
  delete(assistantId: string): Promise<boolean>
  /** Newest first. */
  versions(
    assistantId: string,
    page: { metadata?: Record<string, Json>; limit: number; offset: number },
  ): Promise<Assistant[]>
  /** Makes that version the one that counts. */
  setLatest(assistantId: string, version: number): Promise<Assistant | undefined>
  /** Writes the assistant that each served graph has. One that people have changed keeps their description. */
  ensureSystem(graphs: { graph_id: string; description: string | null }[]): Promise<void>
}

export interface Threads {
  /** Throws `thread_exists` unless `ifExists` is `do_nothing`. */
  create(thread: {
    thread_id: string
    tenant: string
    metadata: Record<string, Json>
    ttl?: ThreadTtl | undefined
    ifExists: 'raise' | 'do_nothing'
  }): Promise<Thread>
  get(threadId: string): Promise<Thread | undefined>
  search(filter: ThreadFilter): Promise<Page<Thread>>
  count(filter: Pick<ThreadFilter, 'ids' | 'metadata' | 'values' | 'status' | 'allowed'>): Promise<number>
  ttl(threadId: string): Promise<(ThreadTtl & { expires_at: string }) | undefined>
  setTtl(threadId: string, ttl: ThreadTtl): Promise<void>
  /**
   * A new thread with the other's checkpoints, without its runs. Pending holds stay with the original: the copy stands
   * before the same step, and asks for its own when it goes on. `metadata` stands in the place of the original's.
   */
  copy(from: string, to: string, metadata?: Record<string, Json>): Promise<Thread | undefined>
  /**
   * False where there is no such thread, or a run of it has not ended, or with `expiredAt` where its time is not over.
   */
  prune(threadId: string, strategy: PruneStrategy, options?: PruneOptions): Promise<boolean>
  /** Deletes parts of states that no checkpoint needs any more, in threads of which no run is running. Returns how many. */
  collect(): Promise<number>
  /** Threads past their time, at most 100. */
  expired(now: Date): Promise<{ threadId: string; strategy: PruneStrategy }[]>
  storage(threadId: string): Promise<ThreadStorage>
  /** Whether there is such a thread for whoever may see that. */
  allows(threadId: string, allowed: Allowed): Promise<boolean>
  /** Merges `metadata`. */
  patch(threadId: string, metadata: Record<string, Json>): Promise<Thread | undefined>
  /** Deletes the thread with its runs, events and checkpoints; its pending holds become `cancelled`. `by`: unset, we do. */
  delete(threadId: string, by?: string): Promise<boolean>
  /** Threads whose last run was the assistant's. */
  ofAssistant(assistantId: string): Promise<string[]>
  /** Deletes temporary threads with which nothing has happened since. Returns their ids. */
  endTemporary(before: Date): Promise<string[]>
}

export interface Runs {
  /** One transaction: the thread's row locked, the double-texting rule applied, the run inserted, workers woken. */
  create(
    run: NewRun,
    options: Pick<StartRequest, 'createThread' | 'allowed' | 'by'> & { answers: InterruptAnswer[] },
  ): Promise<Run>
  get(threadId: string, runId: string): Promise<Run | undefined>
  /** The run of that id, whatever its thread. */
  find(runId: string): Promise<Run | undefined>
  /** The runs of these ids, or those of a thread or of all that have this status and have not ended. */
  active(filter: ActiveRuns): Promise<{ thread_id: string; run_id: string }[]>
  status(threadId: string, runId: string): Promise<RunStatus | undefined>
  /** The run's status and, where it has ended, what it ended with as JSON text. */
  ending(threadId: string, runId: string): Promise<{ status: RunStatus; end: string | null } | undefined>
  list(threadId: string, filter: { status?: RunStatus; limit: number; offset: number }): Promise<Page<Run>>
  /** A pending run ends at once; a running one is told to. Ended runs stay as they are. */
  cancel(threadId: string, runId: string, action: CancelAction, by?: string): Promise<Run | undefined>
  /** Lets a failed run go on from where it failed. `undefined` where it has not failed, or the thread has moved on since. */
  redrive(threadId: string, runId: string): Promise<Run | undefined>
  /** Deletes an ended or pending run with its events. Throws `thread_busy` while it is running. */
  delete(threadId: string, runId: string, by?: string): Promise<boolean>
}

/** Hands each pending run to exactly one worker. */
export interface Queue {
  /** Announces the worker and extends its lease by `leaseMs`. Leases are judged by the database's clock. */
  heartbeat(workerId: string, leaseMs: number): Promise<void>
  /**
   * Up to `limit` runs, each of another thread; runs of silent workers come first, unless `orphans` is false. `held`: the
   * runs that the worker executes. Others that are its own by the table come back to it: the answer to an earlier claim
   * was lost, or it gave them up when its lease was over, and nobody else took them.
   */
  claim(
    workerId: string,
    limit: number,
    options?: { held?: string[]; orphans?: boolean },
  ): Promise<ClaimedRun[]>
  /** Ends the run. False where the lease was lost: nothing was written. */
  settle(run: ClaimedRun, outcome: Outcome): Promise<boolean>
  /** Gives the run back unfinished, so that another worker goes on at once. */
  handOver(run: ClaimedRun): Promise<void>
  /** What a client asked of the running run. */
  cancelAction(run: ClaimedRun): Promise<CancelAction | null>
  /** Keeps with the run how many answers its interrupts had before it. */
  noteAnswered(run: ClaimedRun, answered: Record<string, number>): Promise<void>
  /** Runs that wait for a worker. */
  depth(): Promise<number>
  /** Forgets the worker: its leases are over. */
  leave(workerId: string): Promise<void>
}

/** The effect ledger. */
export interface Effects {
  ledger(run: ClaimedRun): Ledger
  observations(run: ClaimedRun): Observations
  /** Tools whose untrusted results the thread has. */
  untrustedIn(threadId: string): Promise<string[]>
  /** Newest first. */
  list(threadId: string, page: { limit: number; offset: number }): Promise<Effect[]>
}

/** What starts runs at set times. */
export interface Crons {
  /** Throws `invalid_input` where it would never be due, `thread_not_found` and `assistant_not_found`. */
  create(cron: NewCron): Promise<Cron>
  get(cronId: string, allowed?: Allowed): Promise<Cron | undefined>
  search(filter: CronFilter): Promise<Page<Cron>>
  count(
    filter: Pick<CronFilter, 'assistant_id' | 'thread_id' | 'enabled' | 'metadata' | 'allowed'>,
  ): Promise<number>
  /** A change of when it is due counts from now. Throws `invalid_input` where it would never be due again. */
  update(cronId: string, change: CronChange): Promise<Cron | undefined>
  delete(cronId: string): Promise<boolean>
  /**
   * One transaction: takes a cron that is due and that nobody else has, starts the run that `startOf` asks for, and
   * moves its next time on, past now: times that nobody was there for are one run. A run that is refused is noted
   * instead. `undefined` where nothing is due but those of `aside`. Throws `CronNotFired` where it stays due.
   */
  fire(startOf: (cron: ScheduledCron) => StartRequest, aside?: string[]): Promise<Fired | undefined>
  /** Seconds until one is due, but for those of `aside`; `undefined` where none is. */
  nextIn(aside?: string[]): Promise<number | undefined>
  /** What time it is for the crons. */
  now(): Promise<Date>
}

/** What graphs and clients of a tenant remember beyond threads. Items whose time is over are never seen. */
export interface StoreItems {
  /** Those of another tenant. */
  of(tenant: string): StoreItems
  /** In the order of the keys, null where there is none. `refresh` begins the time of what is read anew. */
  get(keys: ItemKey[], refresh?: boolean): Promise<(StoreItem | null)[]>
  search(search: ItemSearch, refresh?: boolean): Promise<StoreItem[]>
  namespaces(search: NamespaceSearch): Promise<string[][]>
  /** All of them or none. False where the lease of the run that writes was lost. */
  write(writes: ItemWrite[], run?: ClaimedRun): Promise<boolean>
  /** Deletes what is past its time, of all tenants. */
  deleteExpired(now: Date): Promise<void>
}

export interface EventLog {
  /** Stores a batch. False where the lease was lost: nothing was written. */
  append(run: ClaimedRun, from: number, events: NewEvent[]): Promise<boolean>
  /** Events after `after` (−1: all), at most `limit`, in order. */
  read(threadId: string, runId: string, after: number, limit: number): Promise<RunEvent[]>
  last(threadId: string, runId: string): Promise<RunEvent | undefined>
  /** The run of the thread that wrote its first event next after that one; unset: the first of all. */
  nextRun(threadId: string, after: StartedRun | undefined): Promise<StartedRun | undefined>
  /** The run of the thread that began last. */
  lastRun(threadId: string): Promise<StartedRun | undefined>
  /** Deletes the events of runs that ended before. */
  prune(endedBefore: Date): Promise<void>
}

export interface Holds {
  get(approvalId: string): Promise<Hold | undefined>
  search(filter: HoldFilter): Promise<Page<Hold>>
  countPending(): Promise<number>
  ofInterrupts(threadId: string, interruptIds: string[]): Promise<Hold[]>
  /** Ends every hold whose time is over, as a rejection would, or hands it on as it says. Returns how many. */
  expire(now: Date): Promise<number>
  /**
   * Records the decision; it leaves the hold `pending` where more people have to say so. The one that completes its
   * message also creates the run that goes on, in the same transaction. Throws `hold_not_found`, `hold_decided` where
   * another decision was first, and what `refusalOf` says of whoever may not decide. With `link`, which is used up by it,
   * `link_gone` where it was used before.
   */
  decide(
    approvalId: string,
    decision: Decision,
    by: Person,
    edited: EditedArgs | undefined,
    link?: DecisionLink,
  ): Promise<Hold>
  /** Takes a person's word back while it is not enough. Throws `vote_not_found` where there is none. */
  withdraw(approvalId: string, by: Person): Promise<Hold>
  comment(approvalId: string, by: Person, text: string): Promise<Hold>
  /** See `Grants`. */
  released(call: CallKey): Promise<Release | undefined>
  askedAgain(call: CallKey): Promise<AskedAgain | undefined>
}

/** Which policy is in force, as the record tells it. */
export interface PolicyVersions {
  /** Records the version, unless it is what was recorded last, or `initial` where nothing was. */
  note(version: string, initial: string): Promise<void>
}

/** Wakes whoever waits for a topic, in this process and in every other one on the same database. */
export interface Signals {
  watch(topic: string): Watch
}

export interface Watch {
  /** Returns at the next signal (or at one since the last call), after `timeoutMs`, or when `signal` aborts. */
  changed(options: { timeoutMs: number; signal?: AbortSignal }): Promise<void>
  close(): void
}

/** How busy all servers on the database are. */
export interface Metrics {
  /**
   * Runs that wait, runs that a worker has, workers that are alive, approvals that nobody has decided, webhooks that
   * wait, and those that were given up.
   */
  read(): Promise<{
    queued: number
    running: number
    workers: number
    approvals: number
    webhooks: number
    deadWebhooks: number
  }>
}

/** What tests may empty. */
export const EMPTIED = ['runs', 'threads', 'assistants', 'checkpointer', 'store'] as const
export type Emptied = (typeof EMPTIED)[number]

/** Says what time it is. Tests turn it; leases never ask it. */
export type Clock = () => Date | Promise<Date>

export interface Log {
  info(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
  error(message: string, fields?: Record<string, unknown>): void
}
