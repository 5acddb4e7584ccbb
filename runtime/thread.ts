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
  config: Record<string, Json>
  status: ThreadStatus
  values: Json
  /** By the id of the task that paused. */
  interrupts: Record<string, Interrupt[]>
  error: Json
}

export interface ThreadFilter {
  ids?: string[]
  metadata?: Record<string, Json>
  values?: Record<string, Json>
  status?: ThreadStatus
  limit: number
  offset: number
  sort_by: 'thread_id' | 'status' | 'created_at' | 'updated_at' | 'state_updated_at'
  sort_order: 'asc' | 'desc'
}

export interface Page<T> {
  items: T[]
  total: number
}
