import { Preview, MAX_PREVIEW, NOTHING_SHOWN, previewHash, type Shown } from '../runtime/preview.ts'
import type { CallKey } from '../runtime/call.ts'
import type { Json } from '../runtime/json.ts'
import type { RunContext } from '../runtime/run-context.ts'
import { reachOf } from './capabilities.ts'
import { type Tool, ToolError } from './define.ts'

/** The longest that whoever asks for an approval waits for the preview. */
export const PREVIEW_MS = 5_000
const MAX_REASON = 200

/** Asks the tool what the call would do. It never fails: a preview that does not come is one that is not there. */
export async function showCall(
  tool: Tool,
  args: Record<string, Json>,
  { threadId, callId }: Pick<CallKey, 'threadId' | 'callId'>,
  run: Pick<RunContext, 'signal' | 'services'>,
): Promise<Shown> {
  if (tool.preview === undefined) return NOTHING_SHOWN
  const timeout = AbortSignal.timeout(PREVIEW_MS)
  const signal = AbortSignal.any([timeout, run.signal])
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    run.signal.throwIfAborted()
    const call = { threadId, callId, signal, ...reachOf(tool, threadId, run.services, signal) }
    return shown(await Promise.race([tool.preview(args, call), aborted.promise]))
  } catch (error) {
    run.signal.throwIfAborted()
    if (timeout.aborted) return nothing(`it took longer than ${PREVIEW_MS} ms`)
    // Its text may hold paths, addresses and secrets: what people should read is a ToolError.
    return nothing(error instanceof ToolError ? error.message : 'it failed for a reason of its own')
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function shown(given: unknown): Shown {
  const parsed = Preview.safeParse(given)
  if (!parsed.success) return nothing(parsed.error.issues[0]?.message ?? 'it is no preview')
  const { length } = JSON.stringify(parsed.data)
  if (length > MAX_PREVIEW) return nothing(`it has ${length} characters, and ${MAX_PREVIEW} is the limit`)
  return { preview: parsed.data, preview_hash: previewHash(parsed.data), no_preview: null }
}

function nothing(why: string): Shown {
  return { ...NOTHING_SHOWN, no_preview: why.split('\n', 1).join('').slice(0, MAX_REASON).toWellFormed() }
}
