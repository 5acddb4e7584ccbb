import type { BaseCheckpointSaver } from '@langchain/langgraph-checkpoint'
import type { Pregel } from '@langchain/langgraph/pregel'
import type { Assistant } from './assistant.ts'
import type { Effect, Ledger } from './effect.ts'
import type { NewEvent, RunEvent } from './event.ts'
import type { Decision, Hold, HoldFilter, HoldRequest } from './hold.ts'
import type { Json } from './json.ts'
import type { CancelAction, ClaimedRun, NewRun, Run, RunError, RunStatus } from './run.ts'
import type { StartRequest } from './start-run.ts'
import type { Interrupt, Page, Thread, ThreadFilter } from './thread.ts'

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
  get(assistantId: string): Promise<Assistant | undefined>
  search(filter: AssistantFilter): Promise<Page<Assistant>>
  count(filter: Pick<AssistantFilter, 'graph_id' | 'name' | 'metadata'>): Promise<number>
  /** Its first version. Throws `assistant_exists` unless `ifExists` is `do_nothing`. */
  create(
    assistant: Omit<Assistant, 'version' | 'created_at' | 'updated_at'>,
    ifExists: 'raise' | 'do_nothing',
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
  /** Writes the assistant that each served graph has. */
  ensureSystem(graphIds: string[]): Promise<void>
}

export type AssistantChange = Partial<
  Pick<Assistant, 'graph_id' | 'name' | 'config' | 'context' | 'metadata'> & { description: string }
>

export interface AssistantFilter {
  graph_id?: string
  name?: string
  metadata?: Record<string, Json>
  limit: number
  offset: number
  sort_by: 'assistant_id' | 'graph_id' | 'name' | 'created_at' | 'updated_at'
  sort_order: 'asc' | 'desc'
}

export interface Threads {
  /** Throws `thread_exists` unless `ifExists` is `do_nothing`. */
  create(thread: {
    thread_id: string
    metadata: Record<string, Json>
    ifExists: 'raise' | 'do_nothing'
  }): Promise<Thread>
  get(threadId: string): Promise<Thread | undefined>
  search(filter: ThreadFilter): Promise<Page<Thread>>
  /** Merges `metadata`. */
  patch(threadId: string, metadata: Record<string, Json>): Promise<Thread | undefined>
  /** Deletes the thread with its runs, events and checkpoints; its pending holds become `cancelled`. */
  delete(threadId: string): Promise<boolean>
  /** Threads whose last run was the assistant's. */
  ofAssistant(assistantId: string): Promise<string[]>
  /** Deletes temporary threads with which nothing has happened since. Returns their ids. */
  endTemporary(before: Date): Promise<string[]>
}

export interface Runs {
  /** One transaction: the thread's row locked, the double-texting rule applied, the run inserted, workers woken. */
  create(
    run: NewRun,
    options: { createThread: StartRequest['createThread']; answers: InterruptAnswer[] },
  ): Promise<Run>
  get(threadId: string, runId: string): Promise<Run | undefined>
  /** The run of that id, whatever its thread. */
  find(runId: string): Promise<Run | undefined>
  /** The runs of these ids, or those of a thread or of all that have this status and have not ended. */
  active(filter: ActiveRuns): Promise<{ thread_id: string; run_id: string }[]>
  status(threadId: string, runId: string): Promise<RunStatus | undefined>
  list(threadId: string, filter: { status?: RunStatus; limit: number; offset: number }): Promise<Page<Run>>
  /** A pending run ends at once; a running one is told to. Ended runs stay as they are. */
  cancel(threadId: string, runId: string, action: CancelAction): Promise<Run | undefined>
  /** Lets a failed run go on from where it failed. `undefined` where it has not failed, or the thread has moved on since. */
  redrive(threadId: string, runId: string): Promise<Run | undefined>
  /** Deletes an ended or pending run with its events. Throws `thread_busy` while it is running. */
  delete(threadId: string, runId: string): Promise<boolean>
}

export interface ActiveRuns {
  threadId?: string
  runIds?: string[]
  status?: 'pending' | 'running'
}

/** The decisions that a `command.resume` carries for one interrupt. */
export interface InterruptAnswer {
  interruptId: string
  decisions: { approvalId: string; decision: Decision; edited?: EditedArgs }[]
}

/** Arguments after the tool's schema, with their hash. */
export interface EditedArgs {
  args: Json
  hash: string
}

/** Hands each pending run to exactly one worker. */
export interface Queue {
  /** Announces the worker and extends its lease by `leaseMs`. Leases are judged by the database's clock. */
  heartbeat(workerId: string, leaseMs: number): Promise<void>
  /**
   * Up to `limit` runs, each of another thread; runs of silent workers come first. `held`: the runs that the worker
   * executes. Others that are its own by the table come back to it: the answer to an earlier claim was lost, or it
   * gave them up when its lease was over, and nobody else took them.
   */
  claim(workerId: string, limit: number, held?: string[]): Promise<ClaimedRun[]>
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

/** How a run ended, with all that is written in the transaction that ends it. */
export type Outcome =
  | { status: 'success'; events: Ending; state: ThreadState }
  | { status: 'interrupted'; events: Ending; state: ThreadState | undefined }
  | { status: 'error' | 'timeout'; events: Ending; state: ThreadState | undefined; error: RunError }
  | { status: 'rolled_back' }

export interface Ending {
  /** Number of the first of `list`. */
  from: number
  list: NewEvent[]
}

/** The thread as its head checkpoint has it. */
export interface ThreadState {
  /** False where the execution broke off: then what waited before still does, but for what this run answered. */
  complete: boolean
  /** JSON text. */
  values: string
  interrupts: Record<string, Interrupt[]>
  /** True where something is left to do: an interrupt or a breakpoint. */
  paused: boolean
  holds: (HoldRequest & { interrupt_id: string })[]
}

/** The effect ledger. */
export interface Effects {
  ledger(run: ClaimedRun): Ledger
  /** Newest first. */
  list(threadId: string, page: { limit: number; offset: number }): Promise<Effect[]>
}

/** What clients asked to be told of, until it is delivered. */
export interface Webhooks {
  /** Those that are due. Whoever claims one has it for that long. */
  claim(limit: number, leaseSeconds: number): Promise<Webhook[]>
  /** Seconds until one is due; `undefined` where none is. */
  nextIn(): Promise<number | undefined>
  delivered(id: string): Promise<void>
  /** Not taken; `retryInSeconds` unset gives it up. */
  failed(id: string, error: string, retryInSeconds: number | undefined): Promise<void>
}

export interface Webhook {
  id: string
  url: string
  /** JSON text. */
  payload: string
  /** With this one. */
  tries: number
  ageSeconds: number
}

export interface StartedRun {
  runId: string
  /** When its first event was written. */
  startedAt: Date
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
  /** Ends every hold whose time is over, as a rejection would. Returns how many. */
  expire(now: Date): Promise<number>
  /**
   * Records the decision; the one that completes its message also creates the run that goes on, in the same
   * transaction. Throws `hold_not_found`, or `hold_decided` where another decision was first.
   */
  decide(approvalId: string, decision: Decision, by: string, edited: EditedArgs | undefined): Promise<Hold>
  /** See `Grants.released`. */
  released(call: { threadId: string; messageId: string; callId: string }): Promise<string | undefined>
}

/**
 * Brings committed events to readers past the table. It may lose, double or reorder them at any time: a reader goes by
 * their numbers, and reads the table wherever they do not continue what it has.
 */
export interface LiveEvents {
  /** Only after the commit of these events. Waits for nothing and never throws. */
  publish(runId: string, from: number, events: NewEvent[]): void
  subscribe(runId: string): LiveReader
}

export interface LiveReader {
  /** What came next; `undefined` after `timeoutMs`, or when `signal` aborts. */
  next(options: { timeoutMs: number; signal: AbortSignal }): Promise<LiveNews | undefined>
  close(): void
}

export type LiveNews =
  | { kind: 'batch'; from: number; events: NewEvent[] }
  /** The run's events are committed up to this number. */
  | { kind: 'committed'; through: number }
  /** The run may have changed, or something was missed: the table knows. */
  | { kind: 'unknown' }

/** Wakes whoever waits for a topic, in this process and in every other one on the same database. */
export interface Signals {
  watch(topic: string): Watch
}

export interface Watch {
  /** Returns at the next signal (or at one since the last call), after `timeoutMs`, or when `signal` aborts. */
  changed(options: { timeoutMs: number; signal?: AbortSignal }): Promise<void>
  close(): void
}

export const topics = {
  queue: 'queue',
  /** A run of the thread wrote its first event, or ended. */
  thread: (threadId: string) => `thread:${threadId}`,
  /** The run's status changed. */
  run: (runId: string) => `run:${runId}`,
  /** The run's events are committed up to that number. */
  events: (runId: string, through: number) => `events:${runId}:${through}`,
  cancel: (runId: string) => `cancel:${runId}`,
  webhooks: 'webhooks',
  hold: (approvalId: string) => `hold:${approvalId}`,
}

/** Gives a run a checkpointer whose writes hold only while the run's lease does. */
export interface Checkpoints {
  /** Reads and writes outside any run: state, history, updates. */
  plain: BaseCheckpointSaver
  /**
   * `failed` is called when a write finds the lease gone (`LeaseLost`) or the database does not take it. The write
   * itself never rejects: LangGraph awaits some of them too late, and the process would die of the rejection.
   */
  fenced(run: ClaimedRun, failed: (error: Error) => void): FencedSaver
  /** Whether the newest checkpoint of that namespace has the message in its `messages`. */
  holdsMessage(threadId: string, namespace: string, messageId: string): Promise<boolean>
  /** How many answers each interrupt that waits in the thread has had; those with none are left out. */
  answerCounts(threadId: string): Promise<Record<string, number>>
  /** The run whose id the thread's head checkpoint is stamped with. */
  headRunId(threadId: string): Promise<string | undefined>
}

export interface FencedSaver {
  saver: BaseCheckpointSaver
  /** Returns when that checkpoint is committed. Under `async` the graph runs ahead of its checkpoints. */
  committed(checkpointId: string, signal: AbortSignal): Promise<void>
}

/** Says what time it is. Tests turn it; leases never ask it. */
export type Clock = () => Date | Promise<Date>

export interface Log {
  info(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
  error(message: string, fields?: Record<string, unknown>): void
}
