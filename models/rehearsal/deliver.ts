import type { Json } from '../chat-protocol/completion.ts'
import type { Delivery } from './delivery.ts'
import type { Findings } from './findings.ts'
import { together, type History, type Progress } from './history.ts'
import { asText, isRecord } from './tool-result.ts'

/** Saves and mails what was found; the value is one sentence for each. */
export function deliver(
  delivery: Delivery,
  findings: readonly Findings[],
  history: History,
  tools: Tools,
): Progress<string[]> {
  const { mail, save } = delivery
  const saved = save ? [write(save, findings, history)] : []
  // A file first: if it cannot be written, no mail has to be taken back.
  const files = together(saved)
  if (files.kind !== 'done' || !mail || mail.to.length === 0) return files
  const sent = send(mail, findings, history, tools)
  return sent.kind === 'done' ? { kind: 'done', value: [...files.value, sent.value] } : sent
}

export type Tools = ReadonlyMap<string, Record<string, unknown>>

/** Texts joined as one. */
export function textOfAll(findings: readonly Findings[]): string {
  return findings.map(({ text }) => text).join('\n\n\n')
}

function write(
  save: NonNullable<Delivery['save']>,
  findings: readonly Findings[],
  history: History,
): Progress<string> {
  const tables = findings.flatMap(({ csv }) => csv ?? [])
  const asTable = /\.csv$/i.test(save.path) && tables.length === findings.length
  const content = save.text ?? (asTable ? tables.join('\n') : `${textOfAll(findings)}\n`)
  const written = history.ask({ name: 'write_file', args: { path: save.path, content } })
  if (written.kind !== 'done') return written
  return { kind: 'done', value: `It is written to ${field(written.value.result, 'path') ?? save.path}.` }
}

function send(
  mail: NonNullable<Delivery['mail']>,
  findings: readonly Findings[],
  history: History,
  tools: Tools,
): Progress<string> {
  const sent = history.ask({
    name: 'send_email',
    args: {
      to: addresses(mail.to, 'to', tools),
      subject: mail.subject ?? subjectOf(findings),
      body: bodyOf(mail.text ?? textOfAll(findings)),
      ...(mail.cc.length > 0 && { cc: addresses(mail.cc, 'cc', tools) }),
    },
  })
  if (sent.kind !== 'done') return sent
  // Who it went to is not repeated: a person may have changed it, and only the tool knows what it did.
  const { result } = sent.value
  const path = field(result, 'path')
  if (path !== undefined) return { kind: 'done', value: `The mail is sent: ${path}` }
  const message = field(result, 'message')
  if (message !== undefined)
    return { kind: 'done', value: `No mail was sent; a person answered instead: ${message}` }
  return {
    kind: 'done',
    value: isRecord(result) ? 'The mail is sent.' : `send_email answered: ${asText(result)}`,
  }
}

/** A list or one text, as the tool's schema has it. */
function addresses(names: string[], key: string, tools: Tools): Json {
  const properties = tools.get('send_email')?.['properties']
  const property = isRecord(properties) ? properties[key] : undefined
  const text = isRecord(property) && property['type'] === 'string'
  return text
    ? names.join(', ')
    : names.length === 1 && isRecord(property) && accepts(property, 'string')
      ? (names[0] ?? '')
      : names
}

function accepts(property: Record<string, unknown>, type: string): boolean {
  const options = property['anyOf'] ?? property['oneOf']
  return Array.isArray(options) && options.some((option) => isRecord(option) && option['type'] === type)
}

/** What send_email takes, and a line to say so. */
const MAX_BODY = 49_000

function bodyOf(text: string): string {
  return text.length <= MAX_BODY
    ? `${text}\n`
    : `${text.slice(0, MAX_BODY)}\n… (cut: the whole is ${text.length} characters)\n`
}

const MAX_SUBJECT = 120

function subjectOf(findings: readonly Findings[]): string {
  const titles = findings.map(({ title }) => title)
  const all = titles.join('; ')
  if (all.length <= MAX_SUBJECT) return all || 'Result'
  const more = titles.length > 1 ? ` and ${titles.length - 1} more` : ''
  return `${titles[0]?.slice(0, MAX_SUBJECT - more.length)}${more}`
}

function field(result: unknown, name: string): string | undefined {
  const value = isRecord(result) ? result[name] : undefined
  return typeof value === 'string' ? value : undefined
}
