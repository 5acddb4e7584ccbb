import type { Approval } from './door.ts'

/** One line for a step of the `custom` stream; null for what a reader does not need. */
export function describeStep(data: unknown): string | null {
  if (!isRecord(data)) return null
  const name = asText(data['name'] ?? data['tool'])
  switch (data['type']) {
    case 'tool_start':
      return `  > ${name}  ${shorten(describeArgs(data['args']), 110 - name.length)}`
    case 'tool_done': {
      const preview = shorten(asText(data['preview']), 100)
      return `    ${data['status'] === 'ok' ? 'ok' : asText(data['status'])}, ${asText(data['ms'])} ms${preview === '' ? '' : `  ${preview}`}`
    }
    case 'hold':
      return `  ! ${name} waits for a person`
    default:
      return null
  }
}

/** Exactly what would happen: every argument, whole. */
export function describeApproval({ tool, args, risk }: Approval): string {
  const heading = `${tool} waits for your word (risk ${risk}). This is what would happen:`
  if (tool !== 'send_email') return `${heading}\n${indent(JSON.stringify(args, null, 2))}`
  const { to, cc, subject, body, ...rest } = args
  const lines = [
    `To:      ${addresses(to)}`,
    ...(cc === undefined ? [] : [`Cc:      ${addresses(cc)}`]),
    `Subject: ${asText(subject)}`,
    ...Object.entries(rest).map(([name, value]) => `${name}: ${JSON.stringify(value)}`),
    '',
    asText(body).trimEnd(),
  ]
  return `${heading}\n\n${indent(visible(lines.join('\n')))}`
}

/** Where the mail is, from the step that sent it. */
export function mailPath(data: unknown): string | undefined {
  if (
    !isRecord(data) ||
    data['type'] !== 'tool_done' ||
    data['name'] !== 'send_email' ||
    data['status'] !== 'ok'
  )
    return undefined
  return /"path":"((?:[^"\\]|\\.)*)"/.exec(asText(data['preview']))?.[1]
}

/** The text of the last message, if the agent has said it. */
export function answerOf(values: unknown): string | undefined {
  const messages = isRecord(values) && Array.isArray(values['messages']) ? values['messages'] : []
  const last: unknown = messages.at(-1)
  if (!isRecord(last) || last['type'] !== 'ai') return undefined
  const { content } = last
  const text = Array.isArray(content)
    ? content.map((part) => (isRecord(part) ? asText(part['text']) : '')).join('')
    : content
  return typeof text === 'string' && text !== '' ? text : undefined
}

export function addresses(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : asText(value)
}

function describeArgs(args: unknown): string {
  if (!isRecord(args)) return ''
  const { code, ...rest } = args
  const size = typeof code === 'string' ? [`${code.split('\n').length} lines of code`] : []
  return [
    ...size,
    ...Object.entries(rest).map(
      ([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    ),
  ].join(', ')
}

function shorten(text: string, length: number): string {
  const line = visible(text).replace(/\s+/g, ' ').trim()
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`
}

/** Control characters as marks: what a person approves must not be able to redraw the terminal. */
function visible(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  | ').replace(/^$/gm, '  |')
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
