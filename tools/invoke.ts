import { setTimeout as sleep } from 'node:timers/promises'
import { isGraphBubbleUp } from '@langchain/langgraph'
import { idempotencyKey } from '../runtime/call.ts'
import { encode, type Json, toJson } from '../runtime/json.ts'
import { LeaseLost } from '../runtime/lease.ts'
import type { RunContext } from '../runtime/run-context.ts'
import { WORKSPACES } from '../runtime/workspaces.ts'
import { reachOf } from './capabilities.ts'
import { cleanText, mapTexts } from './clean-text.ts'
import { type Effect, type Tool, type ToolCallContext, ToolError, type ToolErrorCode } from './define.ts'
import { permit } from './permit.ts'
import type { Call } from './policy.ts'
import { SECRETS } from './secrets.ts'

/** What a tool message carries (requirements TL-05). `rest`: the file that has all of it, for `read_file`. */
export type ToolResult =
  | { status: 'ok'; result: unknown; truncated?: { shown: number; total: number; rest?: string } }
  | { status: 'error'; code: ToolErrorCode; message: string }

export interface Invocation {
  tool: Tool
  args: Record<string, Json>
  hash: string
  call: Call
  run: RunContext
  /** Names this execution: a later one of the same call has another. */
  attempt: string
  effect: Effect
  /** The agent can read what does not fit into the result. */
  canRead: boolean
  /** Called when the tool is about to be called: not for what is refused or was done before. */
  onStart: () => void
}

/** Before the first retry; twice as long before each later one. */
const FIRST_WAIT_MS = 100
/** Shorter ones stand in texts by chance. */
const SHORTEST_SECRET = 6
/** Characters of what is put aside. */
const MAX_ASIDE = 5_000_000
/** Characters of an error: a server's complaint may repeat all that it was given. */
const MAX_MESSAGE = 8_000

/** Calls the tool, once more after a fault where it says so and its effect allows it. */
export async function invoke(invocation: Invocation): Promise<ToolResult> {
  const { tool, effect, run } = invocation
  const retries = effect === 'once' ? 0 : (tool.retries ?? 0)
  run.signal.throwIfAborted()
  invocation.onStart()
  for (let tried = 0; ; tried++) {
    const result = await invokeOnce(invocation)
    // What the model can do better, what it may not and what took too long would be the same again.
    const isFault = result.status === 'error' && result.code === 'INTERNAL'
    if (!isFault || tried >= retries) return result
    await sleep(FIRST_WAIT_MS * 2 ** tried * (1 + Math.random()), undefined, { signal: run.signal })
  }
}

async function invokeOnce(invocation: Invocation): Promise<ToolResult> {
  const { tool, args, run } = invocation
  const timeout = AbortSignal.timeout(tool.timeoutMs)
  const signal = AbortSignal.any([timeout, run.signal])
  const hide = hider(invocation)
  try {
    const context = permit(tool, contextOf(invocation, signal))
    return await resultOf(invocation, await raceAbort(tool.run(args, context), signal), hide)
  } catch (error) {
    if (isGraphBubbleUp(error) || error instanceof LeaseLost || run.signal.aborted) throw error
    if (timeout.aborted) return failed('TIMEOUT', `${tool.name} took longer than ${tool.timeoutMs} ms.`)
    if (error instanceof ToolError) return failed(error.code, cutMessage(hide(cleanText(error.message))))
    // The cause stays with us: its text may hold paths, addresses and secrets.
    return failed('INTERNAL', `${tool.name} failed for a reason of its own. Do not retry it unchanged.`)
  }
}

/** What a tool returned, as it goes into the state: as it declares, without secrets, no longer than its limit. */
export async function resultOf(
  invocation: Invocation,
  returned: unknown,
  hide = hider(invocation),
): Promise<ToolResult> {
  const { tool } = invocation
  const declared = tool.output?.safeParse(returned)
  if (declared?.success === false)
    return failed('INTERNAL', `${tool.name} answered something else than it declares. Do not rely on it.`)
  const result = mapTexts(toJson(declared === undefined ? returned : declared.data), (text) =>
    hide(cleanText(text)),
  )
  const text = encode(result)
  if (text.length <= tool.outputLimit) return { status: 'ok', result }
  const shown = text.slice(0, tool.outputLimit).toWellFormed()
  const rest = await putAside(invocation, text)
  return {
    status: 'ok',
    result: shown,
    truncated: { shown: tool.outputLimit, total: text.length, ...(rest === undefined ? {} : { rest }) },
  }
}

/** The whole result as a file of the thread, for an agent that can read it on. A full workspace keeps none. */
async function putAside({ call, hash, run, canRead }: Invocation, text: string): Promise<string | undefined> {
  const workspaces = run.services.find(WORKSPACES)
  if (workspaces === undefined || !canRead || text.length > MAX_ASIDE) return undefined
  const path = `results/${idempotencyKey(call.key, hash)}.json`
  return await workspaces.write(call.key.threadId, path, Buffer.from(text)).then(
    () => path,
    () => undefined,
  )
}

export function contextOf(invocation: Omit<Invocation, 'effect'>, signal: AbortSignal): ToolCallContext {
  const { tool, call, hash, run, attempt } = invocation
  return {
    threadId: call.key.threadId,
    callId: call.key.callId,
    idempotencyKey: idempotencyKey(call.key, hash),
    attempt,
    signal,
    ...reachOf(tool, call.key.threadId, run.services, signal),
    secret(name) {
      if (tool.secrets?.includes(name) !== true) throw new Error(`${tool.name} declares no secret "${name}".`)
      const value = run.services.find(SECRETS)?.get(name)
      if (value === undefined)
        throw new ToolError(
          'DENIED',
          `${tool.name} needs the secret ${name}, which the operator has not given.`,
        )
      return value
    },
  }
}

/** Writes the name of a secret in the place of its value. */
function hider({ tool, run }: Pick<Invocation, 'tool' | 'run'>): (text: string) => string {
  const secrets = (tool.secrets ?? []).flatMap((name) => {
    const value = run.services.find(SECRETS)?.get(name) ?? ''
    return value.length < SHORTEST_SECRET ? [] : [{ name, value }]
  })
  // One may begin with another: the longer one goes first, or its end would be left.
  secrets.sort((a, b) => b.value.length - a.value.length)
  return (text) => secrets.reduce((hidden, { name, value }) => hidden.replaceAll(value, `[${name}]`), text)
}

function cutMessage(text: string): string {
  if (text.length <= MAX_MESSAGE) return text
  return `${text.slice(0, MAX_MESSAGE).toWellFormed()}… (cut: it has ${text.length} characters)`
}

/** What ignores its signal still ends at it. */
export async function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason as Error)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function failed(code: ToolErrorCode, message: string): ToolResult {
  return { status: 'error', code, message }
}
