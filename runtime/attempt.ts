import type { Checkpoints } from './checkpoints.ts'
import type { EventWriter } from './event-writer.ts'
import type { Interop } from './interop.ts'
import type { LiveEvents } from './live-events.ts'
import type { Pauses } from './pauses.ts'
import type { Effects, EventLog, Graphs, Holds, Log, Queue, Signals, StoreItems } from './ports.ts'
import type { ClaimedRun } from './run.ts'
import type { Services } from './services.ts'

export interface ExecutorPorts {
  graphs: Graphs
  checkpoints: Checkpoints
  effects: Effects
  events: EventLog
  holds: Holds
  interop: Interop
  live: LiveEvents
  queue: Queue
  signals: Signals
  store: StoreItems
  services: Services
  log: Log
}

/** One execution of a run by one worker. */
export interface Attempt {
  run: ClaimedRun
  ports: ExecutorPorts
  events: EventWriter
  pauses: Pauses
  signal: AbortSignal
  abort: (reason: Error) => void
}
