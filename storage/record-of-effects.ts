import { type NewEntry, sha256 } from '../runtime/audit.ts'
import { argsHash, hasCanonicalForm } from '../runtime/call.ts'
import type { EffectStatus, Intent } from '../runtime/effect.ts'
import type { Hold } from '../runtime/hold.ts'
import type { Json } from '../runtime/json.ts'
import type { ClaimedRun } from '../runtime/run.ts'
import type { Transaction } from './database.ts'
import { agent, type Who } from './record-of-holds.ts'

/** `retried`: it was begun before, and whoever began it is gone. */
export function recordBegun(client: Transaction, run: ClaimedRun, intent: Intent, retried: boolean): void {
  client.recorded.push(entryOf('effect.begun', run, intent, { retried }))
}

/** It certainly did not happen, and is this lease's from now on. */
export function recordRetaken(client: Transaction, run: ClaimedRun, intent: Intent): void {
  client.recorded.push(entryOf('effect.retaken', run, intent, {}))
}

export function recordEnded(
  client: Transaction,
  run: ClaimedRun,
  intent: Intent,
  status: 'done' | 'failed',
  outcome: Json,
): void {
  client.recorded.push(entryOf('effect.ended', run, intent, { status, outcome_sha256: digestOf(outcome) }))
}

/** What a person's word, or the time that went by without one, made of an effect in doubt. */
export function recordSettled(
  client: Transaction,
  hold: Hold,
  who: Who,
  { effect, key, status, outcome }: { effect: string; key: string; status: EffectStatus; outcome: Json },
): void {
  const { thread_id, run_id, assistant_id, approval_id, message_id, call_id, tool } = hold
  client.recorded.push({
    kind: 'effect.settled',
    ...who,
    thread_id,
    run_id,
    assistant_id,
    approval_id,
    message_id,
    call_id,
    tool,
    data: {
      effect,
      key,
      args_sha256: hold.args_hash,
      status,
      outcome_sha256: outcome === null ? null : digestOf(outcome),
    },
  })
}

function entryOf(
  kind: 'effect.begun' | 'effect.retaken' | 'effect.ended',
  run: ClaimedRun,
  { call, argsHash: hash, tool, effect, key }: Intent,
  data: Record<string, Json>,
): NewEntry {
  return {
    kind,
    ...agent(run.assistant_id),
    thread_id: call.threadId,
    run_id: run.run_id,
    assistant_id: run.assistant_id,
    message_id: call.messageId,
    call_id: call.callId,
    tool,
    data: { effect, key, args_sha256: hash, lease_token: run.lease_token, ...data },
  }
}

/** SHA-256 of its canonical JSON; of its JSON where half a surrogate pair leaves it without one. */
function digestOf(outcome: Json): string {
  return hasCanonicalForm(outcome) ? argsHash(outcome) : sha256(JSON.stringify(outcome))
}
