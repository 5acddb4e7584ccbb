import type { CallKey } from './call.ts'
import type { Voice } from './hold.ts'
import type { Json } from './json.ts'

/**
 * `intended`: begun, not known to have ended. `retry`: a person said that it did not happen, so it may begin again.
 * `skipped`: a person said that it is not to happen.
 */
export type EffectStatus = 'intended' | 'done' | 'failed' | 'retry' | 'skipped'

/** `none`: it has a row because people released it: that is for one execution, whatever it does. */
export type EffectKind = 'none' | 'idempotent' | 'once'

/** One side-effecting call as the ledger has it. Dates are ISO 8601. */
export interface Effect {
  thread_id: string
  message_id: string
  call_id: string
  args_hash: string
  run_id: string
  tool: string
  effect: EffectKind
  key: string
  status: EffectStatus
  outcome: Json
  created_at: string
  ended_at: string | null
}

/** What is about to happen. */
export interface Intent {
  call: CallKey
  argsHash: string
  tool: string
  toolVersion: string
  effect: EffectKind
  key: string
  /** The grant that it needs; unset: it needs none. What was begun before needs no other. */
  grant: Granted | undefined
}

export interface Granted {
  hash: string
  approvalId: string
  /** Whose words were counted. */
  voices: Voice[]
}

/**
 * What the ledger says to an intent. `begin`: it is committed, do it. `ended`: it was done before, this is what came
 * of it. `in_doubt`: somebody began it and is gone; `owner` is that somebody's lease, `toolVersion` which version of the tool
 * began it, where that was noted. `ungranted`: the grant is not
 * there, or was used. `foreign`: it is another tool's, under the same ids. `recount`: somebody whose word was counted has been
 * shut out since, or may say less.
 */
export type Intention =
  | { state: 'begin' }
  | { state: 'ended'; outcome: Json }
  | { state: 'skipped' }
  | { state: 'in_doubt'; owner: string; toolVersion?: string }
  | { state: 'ungranted' }
  | { state: 'recount' }
  | { state: 'foreign'; tool: string }

/** What was begun before. */
export type Begun = Exclude<Intention, { state: 'begin' | 'ungranted' | 'recount' | 'foreign' }>

/** One run's view of the effect ledger. Every write holds only while the run's lease does, and throws `LeaseLost` after it. */
export interface Ledger {
  /** Uses the grant in the same statement. */
  intend(intent: Intent): Promise<Intention>
  /** What was begun before, without beginning anything. */
  find(intent: Intent): Promise<Begun | undefined>
  /** Makes an effect in doubt this run's own again, once it is certain that it did not and will not happen. */
  retake(intent: Intent, owner: string): Promise<void>
  conclude(intent: Intent, status: 'done' | 'failed', outcome: Json): Promise<void>
}
