import type { BaseCheckpointSaver } from '@langchain/langgraph-checkpoint'
import type { Artifact } from './artifact.ts'
import type { Json } from './json.ts'
import type { ClaimedRun } from './run.ts'
import type { StateLimits } from './state-limits.ts'
import type { Interrupt, ThreadTtl } from './thread.ts'

/** Gives a run a checkpointer whose writes hold only while the run's lease does. */
export interface Checkpoints {
  /** Of what is written through them. */
  limits: StateLimits
  /** Reads and writes outside any run: state, history, updates. */
  plain: BaseCheckpointSaver
  /**
   * `failed` is called when a write finds the lease gone (`LeaseLost`) or the database does not take it. The write
   * itself never rejects: LangGraph awaits some of them too late, and the process would die of the rejection.
   */
  fenced(run: ClaimedRun, failed: (error: Error) => void): FencedSaver
  /** A change of the thread's state outside any run, by whom its checkpoints will say. */
  draft(threadId: string, by: string): Promise<StateDraft>
  /** Merges into the metadata of the newest checkpoint of the root; false where there is none. */
  describe(threadId: string, metadata: Record<string, Json>): Promise<boolean>
  /** Whether the newest checkpoint of that namespace has the message in its `messages`. */
  holdsMessage(threadId: string, namespace: string, messageId: string): Promise<boolean>
  /** How many answers each interrupt that waits in the thread has had; those with none are left out. */
  answerCounts(threadId: string): Promise<Record<string, number>>
  /** What a reference stands for in any state of the thread. */
  artifact(threadId: string, sha256: string): Promise<Artifact | undefined>
  /** The run whose id the thread's head checkpoint is stamped with. */
  headRunId(threadId: string): Promise<string | undefined>
}

export interface FencedSaver {
  saver: BaseCheckpointSaver
  /** Returns when that checkpoint is committed. Under `async` the graph runs ahead of its checkpoints. */
  committed(checkpointId: string, signal: AbortSignal): Promise<void>
  /** Returns when nothing waits to travel with what comes next. The graph is at its end. */
  flush(): Promise<void>
}

export interface StateDraft {
  /** Reads the thread and what was put into the draft; writes nothing. */
  saver: BaseCheckpointSaver
  /**
   * One transaction: the draft's checkpoints, the thread's row and the end of holds that wait no more. False where the
   * thread got other checkpoints since the draft began. `created`: the thread is new, and with it comes into being.
   * Throws `thread_busy`, `thread_not_found` and `thread_exists`.
   */
  commit(state: DraftedState, created?: CreatedThread): Promise<boolean>
}

export interface DraftedState {
  /** JSON text. */
  values: string
  /** Those that still wait. */
  interrupts: Record<string, Interrupt[]>
  paused: boolean
}

/** A thread that comes into being with its first states. */
export interface CreatedThread {
  tenant: string
  metadata: Record<string, Json>
  /** Unset: the project's. */
  ttl?: ThreadTtl | undefined
}
