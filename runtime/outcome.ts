import type { NewEvent } from './event.ts'
import type { HoldRequest } from './hold.ts'
import type { RunError } from './run.ts'
import type { Interrupt } from './thread.ts'

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
  /** The interrupts that the state asks, by id: of one that broke off also those that were there before. */
  waiting: string[]
  /** True where something is left to do: an interrupt or a breakpoint. */
  paused: boolean
  holds: (HoldRequest & { interrupt_id: string })[]
}
