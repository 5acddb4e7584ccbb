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

/** The last event of every run. Never sent: it carries what `wait` and `join` answer. */
export const END_EVENT = '__end__'
