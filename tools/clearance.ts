import { approvalId, grantHash } from '../runtime/call.ts'
import { type HoldRequest, peopleOf } from '../runtime/hold.ts'
import { NOTHING_SHOWN, type Shown } from '../runtime/preview.ts'
import { admitted, isQuorum } from '../runtime/quorum.ts'
import type { Answer, Release, RunContext } from '../runtime/run-context.ts'
import type { Tool } from './define.ts'
import type { Call, Verdict } from './policy.ts'
import { showCall } from './preview.ts'

/** What people's words make of a call. */
export type Clearance =
  /** `grant`: the hash of the one that it needs, if it needs one. */
  | { state: 'cleared'; grant: string | undefined }
  | { state: 'refused'; reason: string }
  | { state: 'answered'; answer: Answer }
  | { state: 'outdated'; ask: HoldRequest }

/** Whether the call may run. The payload of a hold is not trusted: what it needs is asked anew. */
export async function clear(tool: Tool, verdict: Verdict, call: Call, run: RunContext): Promise<Clearance> {
  const { action, reason, needs } = verdict
  if (action === 'deny') return { state: 'refused', reason }
  // A policy that holds it no longer releases nothing that people have said no to.
  if (action !== 'hold')
    return (call.held && (await asked(call, run))) || { state: 'cleared', grant: undefined }
  const release = await run.grants.released(call.key)
  if (release?.hash !== verdict.args_hash || release.tool !== tool.name) {
    const none = `${call.tool} needs a person's approval for exactly these arguments, and has none.`
    return (await asked(call, run)) ?? { state: 'refused', reason: none }
  }
  const voices = admitted(release.votes, needs, release.escalated)
  if (!isQuorum(voices, needs)) {
    const of = voices.length < release.votes.length ? ` of ${needs.who.join(', ')}` : ''
    const few = `${call.tool} needs ${peopleOf(needs)}${of} to approve exactly these arguments, and has ${voices.length}.`
    return { state: 'refused', reason: few }
  }
  // What was begun with the grant, and what a person said of that, is the ledger's: the world has moved by it.
  const ask = release.begun ? undefined : await askAgain(tool, verdict, release, { call, run })
  if (ask !== undefined) return { state: 'outdated', ask }
  return { state: 'cleared', grant: grantHash(call.key, tool, verdict.args) }
}

/** What became of a call that people were asked of again. Where it still waits, its question stays the same. */
async function asked({ key }: Call, { grants }: RunContext): Promise<Clearance | undefined> {
  const again = await grants.askedAgain(key)
  return again?.state === 'waiting' ? { state: 'outdated', ask: again.ask } : again
}

/** What people are to be asked again, where they released something else than would happen now. */
async function askAgain(
  tool: Tool,
  verdict: Verdict,
  release: Release,
  { call, run }: { call: Call; run: RunContext },
): Promise<HoldRequest | undefined> {
  const compares = release.previewHash !== null
  const redeployed = release.toolVersion !== tool.version
  const stale = redeployed || release.lapsed
  const shown = compares || stale ? await showCall(tool, verdict.args, call.key, run) : NOTHING_SHOWN
  if (!stale && shown.preview_hash === release.previewHash) return undefined
  return requestAgain(tool, verdict, release, { shown, key: call.key, redeployed })
}

function requestAgain(
  tool: Tool,
  { action: _, ...verdict }: Verdict,
  { approvalId: replaces, toolVersion, lapsed }: Release,
  { shown, key, redeployed }: { shown: Shown; key: Call['key']; redeployed: boolean },
): HoldRequest {
  const was = toolVersion === '' ? 'before versions were noted' : `for version ${toolVersion}`
  const why = redeployed
    ? `It was approved ${was} of the tool, which is now version ${tool.version}.`
    : lapsed
      ? 'It was approved, but too long ago.'
      : 'It was approved, but what it would do has changed since.'
  return {
    ...verdict,
    ...shown,
    kind: 'tool',
    replaces,
    approval_id: approvalId(key, verdict.args_hash, replaces),
    reason: `${why} ${verdict.reason}`,
  }
}
