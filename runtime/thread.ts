import type { Allowed } from './allowed.ts'
import type { Json } from './json.ts'

export type ThreadStatus = 'idle' | 'busy' | 'interrupted' | 'error'

/** One pause that waits for an answer. */
export interface Interrupt {
  id: string
  value: Json
}

/** A thread as clients see it. Dates are ISO 8601. */
export interface Thread {
  thread_id: string
  created_at: string
  updated_at: string
  state_updated_at: string
  metadata: Record<string, Json>
  /** What its runs were configured with: the next one is, too, where it says nothing else. */
  config: { configurable?: Record<string, Json> }
  status: ThreadStatus
  values: Json
  /** By the id of the task that paused. */
  interrupts: Record<string, Interrupt[]>
  error: Json
}

/** Of a run's configuration, whether the thread's next run has it too: who asked, and by what request, is each run's own. */
export function isThreadConfig(key: string): boolean {
  return !key.startsWith('langgraph_auth_') && !key.startsWith('x-') && key !== 'user-agent'
}

/** The graph of its last run, or the one that it was created for. */
export function graphIdOf({ metadata }: Pick<Thread, 'metadata'>): string | undefined {
  const graphId = metadata['graph_id']
  return typeof graphId === 'string' ? graphId : undefined
}

/** What is left of a thread that is pruned: nothing, or its latest state. */
export type PruneStrategy = 'delete' | 'keep_latest'

export interface PruneOptions {
  /** Only where the thread's time is over by then. */
  expiredAt?: Date | undefined
  /** Who does it. Unset: we do. */
  by?: string | undefined
  /** What `keep_latest` keeps beside the latest state: so many of the last ones, and those since then. */
  keep?: { last?: number | undefined; since?: Date | undefined } | undefined
}

/** How many minutes after its last change a thread is pruned. */
export interface ThreadTtl {
  strategy: PruneStrategy
  ttl_minutes: number
}

/** Bytes as stored. */
export interface ThreadStorage {
  checkpoints: number
  /** The values of each channel. */
  channels: Record<string, number>
  writes: number
}

export interface ThreadFilter {
  ids?: string[]
  metadata?: Record<string, Json>
  values?: Record<string, Json>
  status?: ThreadStatus
  allowed?: Allowed
  limit: number
  offset: number
  sort_by: 'thread_id' | 'status' | 'created_at' | 'updated_at' | 'state_updated_at'
  sort_order: 'asc' | 'desc'
}

export interface Page<T> {
  items: T[]
  total: number
}
