import {
  AIMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
  type BaseMessage,
} from '@langchain/core/messages'
import { ChatOpenAICompletions } from '@langchain/openai'

export interface MadeCall {
  name: string
  args: Record<string, unknown>
}

type Answer = { status: 'ok'; result: unknown } | { status: 'error'; code: string; message: string } | string

export interface AgentOptions {
  files?: Record<string, string>
  tools?: string[]
  /** Answers instead of the tool: undefined goes on to the tool. */
  override?: (call: MadeCall, earlier: readonly MadeCall[]) => Answer | undefined
  /** Code runs in this instead of in the test's own process. */
  runCode?: (code: string, files: Map<string, string>) => Promise<unknown>
  messages?: BaseMessage[]
}

export interface AgentRun {
  answer: string
  calls: MadeCall[]
  steps: MadeCall[][]
  messages: BaseMessage[]
  files: Map<string, string>
}

/** The loop of a react agent around the rehearsal model: its tools on files in memory, as their contracts say. */
export async function runAgent(url: string, words: string, options: AgentOptions = {}): Promise<AgentRun> {
  const files = new Map(Object.entries(options.files ?? {}))
  const names = options.tools ?? Object.keys(PARAMETERS)
  const model = client(url).bindTools(names.map(tool))
  const messages = options.messages ?? [new SystemMessage('You are an agent.')]
  messages.push(new HumanMessage(words))
  const steps: MadeCall[][] = []
  for (let turn = 0; turn < 12; turn++) {
    const message = await model.invoke(messages)
    messages.push(message)
    const calls = message.tool_calls ?? []
    if (calls.length === 0) return { answer: message.text, calls: steps.flat(), steps, messages, files }
    const earlier = steps.flat()
    steps.push(calls.map(({ name, args }) => ({ name, args })))
    for (const call of calls) {
      const answer = options.override?.(call, earlier) ?? (await perform(call, files, options))
      messages.push(
        new ToolMessage({ tool_call_id: call.id ?? '', name: call.name, content: render(call.name, answer) }),
      )
    }
  }
  throw new Error(`No answer after 12 turns: ${messages.filter(AIMessage.isInstance).at(-1)?.text}`)
}

export function client(url: string, fields: Record<string, unknown> = {}) {
  return new ChatOpenAICompletions({
    model: 'rehearsal',
    apiKey: 'none',
    maxRetries: 0,
    configuration: { baseURL: url },
    ...fields,
  })
}

export function tool(name: string) {
  const properties = PARAMETERS[name] ?? {}
  const parameters = { type: 'object', properties, required: Object.keys(properties).slice(0, 1) }
  return { type: 'function' as const, function: { name, description: name, parameters } }
}

const text = { type: 'string' }
const addresses = { anyOf: [text, { type: 'array', items: text }] }

const PARAMETERS: Record<string, Record<string, unknown>> = {
  run_javascript: { code: text },
  list_files: { path: text },
  read_file: { path: text, offset: { type: 'integer' }, limit: { type: 'integer' } },
  write_file: { path: text, content: text },
  http_fetch: { url: text },
  send_email: { to: addresses, cc: addresses, subject: text, body: text },
}

function render(name: string, answer: Answer): string {
  const json = typeof answer === 'string' ? answer : JSON.stringify(answer).replaceAll('</', '<\\/')
  return `<tool_result tool="${name}">\n${json}\n</tool_result>`
}

async function perform(
  { name, args }: MadeCall,
  files: Map<string, string>,
  options: AgentOptions,
): Promise<Answer> {
  try {
    return { status: 'ok', result: await result(name, args, files, options) }
  } catch (error) {
    return { status: 'error', code: 'INVALID_ARGS', message: String(error) }
  }
}

async function result(
  name: string,
  args: Record<string, unknown>,
  files: Map<string, string>,
  options: AgentOptions,
) {
  const path = String(args['path'])
  switch (name) {
    case 'list_files':
      return {
        files: [...files].map(([file, content]) => ({ path: file, size: Buffer.byteLength(content) })),
      }
    case 'read_file':
      return readPiece(path, files, Number(args['limit'] ?? 16_384))
    case 'write_file':
      files.set(path, String(args['content']))
      return { path, size: Buffer.byteLength(String(args['content'])) }
    case 'run_javascript':
      return { value: await (options.runCode ?? runHere)(String(args['code']), files), stdout: '' }
    case 'send_email':
      return { message_id: '<1@test>', path: 'outbox/1.eml' }
    case 'http_fetch':
      return { status: 200, content_type: 'application/json', body: '{"ok":true}', truncated: false }
    default:
      throw new Error(`No tool ${name}`)
  }
}

function readPiece(path: string, files: Map<string, string>, limit: number) {
  const bytes = Buffer.from(readWhole(path, files))
  const content = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, limit), {
    stream: true,
  })
  const end = Buffer.byteLength(content)
  return { path, encoding: 'utf8', content, size: bytes.length, next_offset: end < bytes.length ? end : null }
}

function readWhole(path: string, files: Map<string, string>): string {
  const content = files.get(path)
  if (content === undefined) throw new Error(`${path} does not exist`)
  return content
}

/** The guest's rules in this process: the last line is the value. The real sandbox is slower and tested elsewhere. */
export async function runHere(code: string, files: Map<string, string>): Promise<unknown> {
  const body = code.trimEnd().replace(/(?:^|\n)([^\n]*)$/, '\nreturn $1')
  const AsyncFunction = (async () => {}).constructor as new (
    ...lines: string[]
  ) => (...args: unknown[]) => Promise<unknown>
  const read = (path: string) => Promise.resolve(readWhole(path, files))
  const value = await new AsyncFunction('readFile', 'console', body)(read, { log() {} })
  return JSON.parse(JSON.stringify(value) ?? 'null') as unknown
}
