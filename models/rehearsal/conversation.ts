import { textOf, type ChatMessage, type ChatRequest } from '../chat-protocol/request.ts'
import { outdented, passages, type Passage } from './passages.ts'
import { readToolResult, type Outcome } from './tool-result.ts'

export interface PastCall {
  name: string
  args: unknown
  /** Missing while the call has no answer. */
  outcome?: Outcome
}

/** What a react conversation asks for now, and what it already knows. */
export interface Conversation {
  /** `step` of a plan and `specialist` of a supervisor report to another model; a `chat` to a person. */
  kind: 'chat' | 'step' | 'specialist'
  /** The words to act on. */
  words: string
  /** The whole task, of which a step is a part; else the same words. */
  task: string
  /** Results of earlier steps, reports of other specialists. */
  known: Passage[]
  /** Since the last human message. */
  calls: PastCall[]
  /** What came before the last human message, oldest first. */
  past: { words: string[]; calls: PastCall[]; answer?: string }
  /** JSON schema of the arguments by tool name. */
  tools: ReadonlyMap<string, Record<string, unknown>>
}

export function readConversation(request: ChatRequest): Conversation {
  const last = request.messages.findLastIndex((message) => message.role === 'user')
  const asked = request.messages[last]
  const before = request.messages.slice(0, Math.max(last, 0))
  return {
    ...readHuman(asked ? textOf(asked) : ''),
    calls: readCalls(request.messages.slice(last + 1)),
    past: {
      words: before.filter((message) => message.role === 'user').map(textOf),
      calls: readCalls(before),
      answer: before
        .filter((message) => message.role === 'assistant')
        .map(textOf)
        .findLast((text) => text !== ''),
    },
    tools: new Map((request.tools ?? []).map((tool) => [tool.function.name, tool.function.parameters ?? {}])),
  }
}

/** The text of the last human message: plan and route requests carry all that they need in it. */
export function lastHuman(request: ChatRequest): string {
  const asked = request.messages.findLast((message) => message.role === 'user')
  return asked ? textOf(asked) : ''
}

function readHuman(text: string): Pick<Conversation, 'kind' | 'words' | 'task' | 'known'> {
  const step = /^Task:\s*([^]*?)\n+Your step:\s*([^]*?)(?:\n+Results of earlier steps:\s*([^]*))?$/.exec(text)
  if (step) {
    const [, task = '', words = '', results = ''] = step
    return { kind: 'step', words, task, known: passages(results) }
  }
  const briefed = /^Task:\s*([^]*?)(?:\n+Reports so far:\s*([^]*))?$/.exec(text)
  if (briefed) {
    const [, assignment = '', reports = ''] = briefed
    const words = outdented(assignment)
    return { kind: 'specialist', words, task: words, known: passages(reports) }
  }
  return { kind: 'chat', words: text, task: text, known: [] }
}

function readCalls(messages: readonly ChatMessage[]): PastCall[] {
  const outcomes = new Map(
    messages.filter((message) => message.role === 'tool').map((message) => [message.tool_call_id, message]),
  )
  return messages.flatMap((message) =>
    (message.tool_calls ?? []).map((call) => {
      const answer = outcomes.get(call.id)
      const outcome = answer && readToolResult(textOf(answer))
      return { name: call.function.name, args: parseArgs(call.function.arguments), outcome }
    }),
  )
}

function parseArgs(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
