/** How a tool call ended, as far as the message that came back can be read. */
export type Outcome =
  | { kind: 'ok'; result: unknown }
  | { kind: 'error'; code: string; message: string }
  /** Cut by the output limit, or of a tool that answers in words. */
  | { kind: 'text'; text: string }

/** Reads the message of a tool: `<tool_result tool="NAME">`, one JSON object, `</tool_result>`. */
export function readToolResult(content: string): Outcome {
  const inner = /^<tool_result[^>]*>\n([^]*?)\n?<\/tool_result>\s*$/.exec(content)?.[1] ?? content
  let json: unknown
  try {
    json = JSON.parse(inner)
  } catch {
    return { kind: 'text', text: inner }
  }
  if (!isRecord(json)) return { kind: 'text', text: inner }
  if (json['status'] === 'ok') return { kind: 'ok', result: json['result'] }
  if (json['status'] !== 'error') return { kind: 'text', text: inner }
  const message = json['message']
  return { kind: 'error', code: String(json['code']), message: typeof message === 'string' ? message : inner }
}

/** A text as it is, anything else as JSON; nothing where there is nothing. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
