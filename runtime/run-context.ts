import { AsyncLocalStorage } from 'node:async_hooks'
import type { CallKey } from './call.ts'
import type { Ledger } from './effect.ts'
import type { HoldRequest, Voice } from './hold.ts'
import type { Observed } from './observed.ts'
import type { Role } from './people.ts'
import type { Services } from './services.ts'

/** Says what people said of exactly this call. The hold table answers, never the graph's state. */
export interface Grants {
  /** `undefined` where nobody released it. */
  released(call: CallKey): Promise<Release | undefined>
  /** What became of a call that had to be asked for again; `undefined` where it was not, or was released. */
  askedAgain(call: CallKey): Promise<AskedAgain | undefined>
}

export interface Release {
  approvalId: string
  tool: string
  /** Of the arguments that were released. */
  hash: string
  /** Of the people whose words released them, and count still. */
  votes: Voice[]
  /** Whose words count no longer: they are shut out, or may not say so any more. */
  lost: string[]
  /** It was handed on to others, because nobody had decided in time. */
  escalated: boolean
  /** Of the tool, when they were asked. */
  toolVersion: string
  /** Of what they were shown; null: nothing that could be compared. */
  previewHash: string | null
  /** The ledger has an execution of it already. */
  begun: boolean
  /** Nobody has used it, and its time is over. */
  lapsed: boolean
  /** Somebody edited the arguments where the tool was not known: it has neither read them nor shown what they would do. */
  unread: boolean
}

/** It still waits, as it was asked; or people said something instead of releasing it. */
export type AskedAgain = { state: 'waiting'; ask: HoldRequest } | { state: 'answered'; answer: Answer }

export interface Answer {
  type: 'reject' | 'respond'
  message?: string
}

/** What code inside a run may know of it. */
export interface RunContext {
  threadId: string
  runId: string
  assistantId: string
  graphId: string
  tenantId: string
  /** Who started the run; null where it is not known, or not one alone. */
  requester: string | null
  /** The requester's; null where they are not known. */
  roles: readonly Role[] | null
  /** Aborted when the run is cancelled or loses its lease. */
  signal: AbortSignal
  services: Services
  grants: Grants
  ledger: Ledger
  observed: Observed
  /** Names this execution of the run among all that there ever are of it. */
  attempt: string
  /** Returns when the checkpoint that holds the call is committed: no effect comes before it. */
  checkpointed(place: CallPlace): Promise<void>
}

/** Where in the graph a call is made. */
export interface CallPlace {
  /** The calling task's checkpoint namespace. */
  namespace: string
  /** The checkpoint that the task was started from. */
  checkpointId: string
  messageId: string
}

const storage = new AsyncLocalStorage<RunContext>()

/** Runs `inside` as part of the run: nodes and tools below it find the context with `currentRun()`. */
export function enterRun<T>(context: RunContext, inside: () => T): T {
  return storage.run(context, inside)
}

/** The run that the calling node or tool belongs to, or `undefined` where the graph runs without Holdpoint's runtime. */
export function currentRun(): RunContext | undefined {
  return storage.getStore()
}
