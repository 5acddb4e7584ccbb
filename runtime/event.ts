import { encode } from './json.ts'

/** One server-sent event of a run, as it is stored and sent. */
export interface RunEvent {
  /** Position in the run, from 0. The SSE `id`. */
  seq: number
  /** The SSE `event`: `values`, `updates|node:task`, `messages/partial`, … */
  event: string
  /** JSON text. */
  data: string
}

export type NewEvent = Omit<RunEvent, 'seq'>

export interface StartedRun {
  runId: string
  /** When its first event was written. */
  startedAt: Date
  /** How its events are told: as frames of event streaming v2, or as those of a legacy stream. */
  v2: boolean
}

/** The last event of every run. Never sent: it carries what `wait` and `join` answer. */
export const END_EVENT = '__end__'

/** What an attempt to do the run begins with. */
export function attemptEvent(runId: string, attempt: number): NewEvent {
  return { event: 'metadata', data: encode({ run_id: runId, attempt }) }
}

/** The first event of every run that has any: known from its creation on, before a worker writes it. */
export function firstEvent(runId: string): RunEvent {
  return { ...attemptEvent(runId, 1), seq: 0 }
}
