import type { ObservedCall } from './observation.ts'

/** Collects what the streams of a case tell, event by event. */
export interface Transcript {
  calls: ObservedCall[]
  turns: number
  tokens: number
  model: string
  fingerprint: string
  error: string | null
  /** Paths of the mails that `send_email` says it wrote. */
  mailPaths: string[]
  /** How many events came so far. */
  position: number
  /** Takes one event of the protocol: `updates|step:…`, `custom`, `error`, … */
  take(event: string, data: unknown): void
}

export function createTranscript(): Transcript {
  const byId = new Map<string, ObservedCall>()
  const transcript: Transcript = {
    calls: [],
    turns: 0,
    tokens: 0,
    model: '',
    fingerprint: '',
    error: null,
    mailPaths: [],
    position: 0,
    take(event, data) {
      transcript.position++
      const [mode = '', namespace = ''] = event.split('|')
      if (mode === 'error') transcript.error ??= JSON.stringify(data)
      if (mode === 'updates') for (const [node, update] of entries(data)) takeUpdate(node, update, namespace)
      if (mode === 'custom') takeToolStep(data as { type?: string; call_id?: string })
    },
  }
  return transcript

  function takeUpdate(node: string, update: unknown, namespace: string): void {
    if (TURNS.has(node)) transcript.turns++
    const messages = (update as { messages?: WireMessage[] } | null)?.messages
    for (const message of Array.isArray(messages) ? messages : []) {
      if (message.type === 'tool') takeResult(message)
      else if (message.type === 'ai') takeMessage(message, namespace)
    }
  }

  function takeMessage(
    { id = '', tool_calls, response_metadata, usage_metadata }: WireMessage,
    namespace: string,
  ) {
    transcript.tokens += usage_metadata?.total_tokens ?? 0
    transcript.model = response_metadata?.model_name ?? transcript.model
    transcript.fingerprint = response_metadata?.system_fingerprint ?? transcript.fingerprint
    for (const call of tool_calls ?? []) {
      if (byId.has(call.id)) continue
      const found: ObservedCall = {
        id: call.id,
        messageId: id,
        namespace,
        tool: call.name,
        args: call.args,
        startedAt: null,
        endedAt: null,
        ends: 'open',
      }
      byId.set(call.id, found)
      transcript.calls.push(found)
    }
  }

  function takeToolStep({ type, call_id }: { type?: string; call_id?: string }): void {
    const found = byId.get(call_id ?? '')
    if (type === 'tool_start' && found) found.startedAt = transcript.position
    if (type === 'tool_done' && found) found.endedAt = transcript.position
  }

  function takeResult({ tool_call_id = '', content }: WireMessage): void {
    const found = byId.get(tool_call_id)
    const result = readResult(String(content))
    if (found) found.ends = result.status === 'ok' ? 'ok' : (result.code ?? 'INTERNAL')
    const path = found?.tool === 'send_email' ? result.result?.path : undefined
    if (typeof path === 'string') transcript.mailPaths.push(path)
  }
}

/** The nodes that ask a model once for each update that they write. */
const TURNS = new Set(['model', 'planner', 'replanner', 'solve', 'supervisor'])

interface WireMessage {
  type?: string
  id?: string
  tool_call_id?: string
  content?: unknown
  tool_calls?: { id: string; name: string; args: unknown }[]
  response_metadata?: { model_name?: string; system_fingerprint?: string }
  usage_metadata?: { total_tokens?: number }
}

function entries(data: unknown): [string, unknown][] {
  return typeof data === 'object' && data !== null ? Object.entries(data) : []
}

interface ToolResult {
  status?: string
  code?: string
  result?: { path?: unknown }
}

/** A tool message is `<tool_result …>`, one JSON object, `</tool_result>`. */
function readResult(content: string): ToolResult {
  const json = /^<tool_result[^>]*>\n([^]*)\n<\/tool_result>\s*$/.exec(content)?.[1]
  if (json === undefined) throw new Error(`Not a tool's result: ${content.slice(0, 120)}`)
  return JSON.parse(json) as ToolResult
}
