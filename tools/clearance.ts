import { approvalId, argsHash, grantHash, hasCanonicalForm } from '../runtime/call.ts'
import type { Granted } from '../runtime/effect.ts'
import type { HoldRequest } from '../runtime/hold.ts'
import { peopleOf } from '../runtime/needs.ts'
import type { Json } from '../runtime/json.ts'
import { admitted, isQuorum } from '../runtime/quorum.ts'
import type { Answer, Release, RunContext } from '../runtime/run-context.ts'
import type { Tool } from './define.ts'
import type { Call, Verdict } from './policy.ts'
import { showCall } from './preview.ts'

/** What people's words make of a call. */
export type Clearance =
  /** `grant`: the one that it needs, if it needs one. */
  | { state: 'cleared'; grant: Granted | undefined }
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
  if (release === undefined || !isOf(release, tool, verdict, call)) {
    const none = `${call.tool} needs a person's approval for exactly these arguments, and has none.`
    return (await asked(call, run)) ?? { state: 'refused', reason: none }
  }
  const voices = admitted(release.votes, needs, release.escalated)
  const enough = isQuorum(voices, needs)
  if (!enough && (release.begun || !(release.unread || release.lost.length > 0))) {
    const of = voices.length < release.votes.length ? ` of ${needs.who.join(', ')}` : ''
    const few = `${call.tool} needs ${peopleOf(needs)}${of} to approve exactly these arguments, and has ${voices.length}.`
    return { state: 'refused', reason: few }
  }
  // What was begun with the grant, and what a person said of that, is the ledger's: the world has moved by it.
  const ask = release.begun ? undefined : await askAgain(tool, verdict, release, { call, run, enough })
  if (ask !== undefined) return { state: 'outdated', ask }
  const hash = grantHash(call.key, tool, verdict.args)
  return { state: 'cleared', grant: { hash, approvalId: release.approvalId, voices } }
}

/** Arguments that the tool has not read are released as somebody wrote them: it may read them as others. */
function isOf(release: Release, tool: Tool, { args_hash: hash }: Verdict, { args }: Call): boolean {
  if (release.tool !== tool.name) return false
  const given = args as Json
  return (
    release.hash === hash || (release.unread && hasCanonicalForm(given) && release.hash === argsHash(given))
  )
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
  { call, run, enough }: { call: Call; run: RunContext; enough: boolean },
): Promise<HoldRequest | undefined> {
  const why = whyAgain(tool, verdict, release, enough)
  if (why === undefined && release.previewHash === null) return undefined
  const shown = await showCall(tool, verdict.args, call.key, run)
  if (why === undefined && shown.preview_hash === release.previewHash) return undefined
  const { action: _, ...asked } = verdict
  return {
    ...asked,
    ...shown,
    kind: 'tool',
    replaces: release.approvalId,
    // It is not to be edited.
    args_schema: null,
    approval_id: approvalId(call.key, verdict.args_hash, release.approvalId),
    reason: `${why ?? 'It was approved, but what it would do has changed since.'} ${verdict.reason}`,
  }
}

function whyAgain(
  tool: Tool,
  { args_hash: hash }: Verdict,
  release: Release,
  enough: boolean,
): string | undefined {
  const { toolVersion, lapsed, unread, lost } = release
  if (toolVersion !== tool.version) {
    const was = toolVersion === '' ? 'before versions were noted' : `for version ${toolVersion}`
    return `It was approved ${was} of the tool, which is now version ${tool.version}.`
  }
  if (!enough && lost.length > 0)
    return `It was approved, but what ${lost.join(' and ')} said counts no longer.`
  if (lapsed) return 'It was approved, but too long ago.'
  const edited = 'Its arguments were edited and approved where the tool is not known:'
  if (release.hash !== hash) return `${edited} this is how the tool reads them.`
  if (unread && tool.preview !== undefined) return `${edited} this is what they would do.`
  return unread && !enough ? `${edited} they need more people than were asked.` : undefined
}
