import { getConfig, isGraphBubbleUp } from '@langchain/langgraph'
import { argsHash, doubtId, idempotencyKey } from '../runtime/call.ts'
import type { EffectKind, Granted, Intent } from '../runtime/effect.ts'
import { failpoint } from '../runtime/failpoint.ts'
import type { HoldRequest } from '../runtime/hold.ts'
import { type Needs, ONE_PERSON } from '../runtime/needs.ts'
import { type Json, toJson } from '../runtime/json.ts'
import { newId } from '../runtime/ids.ts'
import { LeaseLost } from '../runtime/lease.ts'
import { NOTHING_SHOWN } from '../runtime/preview.ts'
import { type Answer, currentRun } from '../runtime/run-context.ts'
import { clear } from './clearance.ts'
import type { Effect, Probe, Tool } from './define.ts'
import { contextOf, type Invocation, invoke, raceAbort, resultOf, type ToolResult } from './invoke.ts'
import { lookIfAsked } from './policy/current.ts'
import { type Call, judge, parseArgs, riskOf } from './policy.ts'

/**
 * Or a person has to say: nobody knows whether it happened, or what people released is not what would happen now.
 */
export type Execution = ToolResult | { status: 'in_doubt' | 'outdated'; ask: HoldRequest }

interface Execute extends Invocation {
  grant: Granted | undefined
  /** Why it does not run, unless it has run already. */
  refusal: string | undefined
  /** Whom it needs to be run. */
  needs: Needs
  /** The policy is another by now. */
  isStale: () => boolean
  /** The whole question once more. */
  again: () => Promise<Execution>
}

/**
 * The one way to a tool. Whatever the graph's state says, a call runs only if the agent has the tool, its schema takes
 * the arguments and, where the policy asks for people, they released these very arguments for this version of the tool
 * and the grant that this left is still there. What has an effect or a grant goes through the ledger: a call that was
 * done before is not done again.
 */
export async function executeCall(allowed: Tool[], call: Call, onStart = () => {}): Promise<Execution> {
  const run = currentRun()
  if (run === undefined)
    return refused('Tools run only inside a Holdpoint run. Serve the graph, or enter a run first.')
  const tool = allowed.find(({ name }) => name === call.tool)
  if (tool === undefined) return refused(`This agent has no tool "${call.tool}".`)
  await lookIfAsked()
  const verdict = judge(allowed, call)
  const parsed = parseArgs(tool, call.args)
  if (!parsed.ok)
    return verdict.action === 'deny'
      ? refused(verdict.reason)
      : { status: 'error', code: 'INVALID_ARGS', message: parsed.reason }
  const { args } = parsed
  const hash = argsHash(args)
  const clearance = await clear(tool, verdict, call, run)
  if (clearance.state === 'answered') return wordOf(clearance.answer)
  if (clearance.state === 'outdated') return { status: 'outdated', ask: clearance.ask }
  const cleared = clearance.state === 'cleared'
  const grant = cleared ? clearance.grant : undefined
  const refusal = cleared ? undefined : clearance.reason
  const needs = verdict.action === 'hold' ? verdict.needs : ONE_PERSON
  const isStale = () => judge(allowed, call).policy_version !== verdict.policy_version
  const again = () => executeCall(allowed, call, onStart)
  const effect = effectOf(tool, args)
  const canRead = allowed.some(({ name }) => name === 'read_file')
  const invocation = { tool, args, hash, call, run, attempt: newId(), effect, canRead, onStart }
  const execute = { ...invocation, grant, refusal, needs, isStale, again }
  // What has no effect and needs nobody may run as often as it is called.
  if (effect === 'none' && cleared && grant === undefined) return await invoke(execute)
  return await once(execute, effect)
}

/** What people said of a call, as its result. */
function wordOf({ type, message }: Answer): ToolResult {
  if (type === 'respond') return { status: 'ok', result: { answered_by: 'person', message: message ?? '' } }
  return refused(
    `A person rejected this call${message === undefined ? ' without a reason.' : `: ${message}`}`,
  )
}

function effectOf(tool: Tool, args: Record<string, Json>): Effect {
  return typeof tool.effect === 'function' ? tool.effect(args) : tool.effect
}

/** Does what the ledger has not seen done. The intent is committed after the checkpoint that holds the call, and before the tool is called. */
async function once(execute: Execute, effect: EffectKind): Promise<Execution> {
  const { tool, hash, call, run, grant } = execute
  const key = idempotencyKey(call.key, hash)
  const { name, version: toolVersion } = tool
  const intent: Intent = { call: call.key, argsHash: hash, tool: name, toolVersion, effect, key, grant }
  if (execute.refusal !== undefined) return await refuse(execute, intent, execute.refusal)
  await run.checkpointed(placeOf(call))
  // An execution that was given up meanwhile begins nothing: an intent of its own would be in doubt.
  run.signal.throwIfAborted()
  if (execute.isStale()) return await execute.again()
  const intention = await run.ledger.intend(intent)
  switch (intention.state) {
    case 'ended':
      return intention.outcome as ToolResult
    case 'skipped':
      return refused('A person decided that this call is not run.')
    case 'ungranted':
      return refused(
        `${tool.name} needs a person's approval, and the one that it had is used, withdrawn or over.`,
      )
    case 'recount':
      return await execute.again()
    case 'foreign':
      return refused(`This call was begun by ${intention.tool}, and by nothing else.`)
    case 'in_doubt':
      return await resolveDoubt(execute, intent, intention)
    case 'begin':
      return await perform(execute, intent)
  }
}

/** What may not run any more may have run, before the policy changed, or may be in doubt. */
async function refuse(execute: Execute, intent: Intent, refusal: string): Promise<Execution> {
  const found = await execute.run.ledger.find(intent)
  if (found?.state === 'ended') return found.outcome as ToolResult
  return found?.state === 'in_doubt' ? await resolveDoubt(execute, intent, found) : refused(refusal)
}

async function perform(execute: Execute, intent: Intent): Promise<Execution> {
  const { run } = execute
  const result = await invoke(execute)
  await failpoint('effect.call:after')
  const unsure = result.status === 'error' && (result.code === 'TIMEOUT' || result.code === 'INTERNAL')
  // It broke off somewhere in the middle: the same question as after a worker's death.
  if (unsure && intent.effect === 'once') {
    const known = await resolveDoubt(execute, intent, {})
    if (known.status !== 'error') return known
  }
  await run.ledger.conclude(intent, result.status === 'ok' ? 'done' : 'failed', toJson(result))
  return result
}

/** An execution of which nobody knows the end: the lease that left it, if another's, and the version of the tool. */
interface Doubt {
  owner?: string
  toolVersion?: string
}

/** What the tool knows of it. One that fails or does not answer knows nothing; why is told to nobody, as of every fault. */
async function probeOf(execute: Execute): Promise<Probe> {
  const { tool, args, run } = execute
  const signal = AbortSignal.any([AbortSignal.timeout(tool.timeoutMs), run.signal])
  try {
    const probed = tool.probe?.(args, contextOf(execute, signal))
    return probed === undefined ? { state: 'unknown' } : await raceAbort(probed, signal)
  } catch (error) {
    if (isGraphBubbleUp(error) || error instanceof LeaseLost || run.signal.aborted) throw error
    return { state: 'unknown' }
  }
}

/** Asks the tool what became of an execution; where it cannot say, a person. */
async function resolveDoubt(left: Execute, intent: Intent, doubt: Doubt): Promise<Execution> {
  const { owner } = doubt
  const execute = { ...left, attempt: newId() }
  const { tool, hash, call, run } = execute
  // To ask is to claim: an execution that was given up must not take the call from the one that has it now.
  run.signal.throwIfAborted()
  const probed = await probeOf(execute)
  if (probed.state === 'unknown') return askPerson(execute, owner ?? run.attempt, doubt.toolVersion)
  // People released what the version did that began it. To run this one is another question.
  const redeployed = doubt.toolVersion !== undefined && doubt.toolVersion !== tool.version
  if (probed.state !== 'happened' && redeployed && execute.refusal === undefined)
    return askPerson(execute, owner ?? run.attempt, doubt.toolVersion)
  if (owner !== undefined) await run.ledger.retake(intent, owner)
  if (probed.state === 'happened') {
    const result = await resultOf(execute, probed.result)
    await run.ledger.conclude(intent, 'done', toJson(result))
    return result
  }
  if (owner !== undefined && execute.refusal !== undefined) {
    const result = refused(execute.refusal)
    await run.ledger.conclude(intent, 'failed', toJson(result))
    return result
  }
  if (owner !== undefined) return await perform(execute, intent)
  return { status: 'error', code: 'TIMEOUT', message: `${call.tool} did not happen (${hash.slice(0, 8)}).` }
}

function askPerson(
  { tool, args, hash, call, needs }: Execute,
  left: string,
  begunBy: string = tool.version,
): Execution {
  const same = begunBy === tool.version
  const version = same ? '' : ` by version ${begunBy}, and is version ${tool.version} now`
  // What people say of one version they do not say of the next.
  const owner = same ? left : `${left} ${tool.version}`
  return {
    status: 'in_doubt',
    ask: {
      kind: 'in_doubt',
      owner,
      approval_id: doubtId(call.key, hash, owner),
      message_id: call.key.messageId,
      call_id: call.key.callId,
      tool: tool.name,
      args,
      args_hash: hash,
      risk: riskOf(tool, args),
      rule: null,
      policy_version: '',
      // To run it again is to run it.
      needs,
      tool_version: tool.version,
      ...NOTHING_SHOWN,
      replaces: null,
      args_schema: null,
      reason: `${tool.name} was begun${version}, and its end is not known: it may or may not have happened. Respond with its result if it did, approve to run it if it did not, reject to skip it.`,
    },
  }
}

/** Where LangGraph is while it makes the call. */
function placeOf({ key }: Call) {
  const config = getConfig()
  return {
    namespace: String(config?.configurable?.['checkpoint_ns'] ?? ''),
    checkpointId: config?.executionInfo?.checkpointId ?? '',
    messageId: key.messageId,
  }
}

function refused(message: string): ToolResult {
  return { status: 'error', code: 'DENIED', message }
}
