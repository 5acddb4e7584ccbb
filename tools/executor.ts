import { isGraphBubbleUp } from '@langchain/langgraph'
import { argsHash, idempotencyKey } from '../runtime/call.ts'
import { encode, type Json } from '../runtime/json.ts'
import { currentRun, type RunContext } from '../runtime/run-context.ts'
import { type Tool, ToolError, type ToolErrorCode } from './define.ts'
import { type Call, needsRelease, parseArgs, riskOf } from './policy.ts'

/** What a tool message carries (requirements TL-05). */
export type ToolResult =
  | { status: 'ok'; result: unknown; truncated?: { shown: number; total: number } }
  | { status: 'error'; code: ToolErrorCode; message: string }

/**
 * The one way to a tool. Whatever the graph's state says, a call runs only if the agent has the tool, its schema takes
 * the arguments and, where its risk asks for a person, the hold table says that these very arguments were released.
 */
export async function executeCall(allowed: Tool[], call: Call): Promise<ToolResult> {
  const run = currentRun()
  if (run === undefined)
    return refused('Tools run only inside a Holdpoint run. Serve the graph, or enter a run first.')
  const tool = allowed.find(({ name }) => name === call.tool)
  if (tool === undefined) return refused(`This agent has no tool "${call.tool}".`)
  const parsed = parseArgs(tool, call.args)
  if (!parsed.ok) return { status: 'error', code: 'INVALID_ARGS', message: parsed.reason }
  const hash = argsHash(parsed.args)
  if (needsRelease(riskOf(tool, parsed.args)) && (await run.grants.released(call.key)) !== hash) {
    return refused(`${call.tool} needs a person's approval for exactly these arguments, and has none.`)
  }
  return await invoke(tool, parsed.args, call, hash, run)
}

async function invoke(
  tool: Tool,
  args: Record<string, Json>,
  call: Call,
  hash: string,
  run: RunContext,
): Promise<ToolResult> {
  const timeout = AbortSignal.timeout(tool.timeoutMs)
  const signal = AbortSignal.any([timeout, run.signal])
  try {
    run.signal.throwIfAborted()
    const result = await raceAbort(
      tool.run(args, {
        threadId: call.key.threadId,
        callId: call.key.callId,
        idempotencyKey: idempotencyKey(call.key, hash),
        signal,
        service: (key) => run.services.get(key),
      }),
      signal,
    )
    return limited(result, tool.outputLimit)
  } catch (error) {
    if (isGraphBubbleUp(error) || run.signal.aborted) throw error
    if (timeout.aborted)
      return {
        status: 'error',
        code: 'TIMEOUT',
        message: `${tool.name} took longer than ${tool.timeoutMs} ms.`,
      }
    if (error instanceof ToolError) return { status: 'error', code: error.code, message: error.message }
    // The cause stays with us: its text may hold paths, addresses and secrets.
    return {
      status: 'error',
      code: 'INTERNAL',
      message: `${tool.name} failed for a reason of its own. Do not retry it unchanged.`,
    }
  }
}

/** A tool that ignores its signal still ends at it. */
async function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
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

function limited(result: unknown, limit: number): ToolResult {
  const text = encode(result)
  if (text.length <= limit) return { status: 'ok', result: JSON.parse(text) as Json }
  return { status: 'ok', result: text.slice(0, limit), truncated: { shown: limit, total: text.length } }
}

function refused(message: string): ToolResult {
  return { status: 'error', code: 'DENIED', message }
}

/**
 * The result as the model reads it: data between delimiters. `</` is written `<\/`, which is the same JSON, so that
 * nothing inside can close them.
 */
export function renderResult(tool: string, result: ToolResult): string {
  const json = encode(result).replaceAll('</', String.raw`<\/`)
  return `<tool_result tool="${tool.replaceAll(/[^\w-]/g, '_')}">\n${json}\n</tool_result>`
}
