import type { ChatAnswer } from '../chat-protocol/completion.ts'
import { ChatError } from '../chat-protocol.ts'
import type { ChatRequest } from '../chat-protocol/request.ts'
import { ABOUT } from './about.ts'
import { lastHuman, readConversation } from './conversation.ts'
import { fillSchema } from './fill-schema.ts'
import { passages } from './passages.ts'
import { plan } from './plan.ts'
import { react } from './react.ts'
import { route } from './route.ts'

/** What the rules say to a request. */
export function answer(request: ChatRequest): ChatAnswer {
  const format = request.response_format
  if (format && 'json_schema' in format && isSchema(format.json_schema)) {
    const { name, schema } = format.json_schema
    return { content: JSON.stringify(structured(name, schema, request)) }
  }
  const choice = request.tool_choice
  if (choice && typeof choice === 'object') return { toolCalls: [forced(choice.function.name, request)] }

  const results = readResults(lastHuman(request))
  if (results !== null) return { content: results }
  const conversation = readConversation(choice === 'none' ? { ...request, tools: [] } : request)
  if (conversation.tools.size === 0 && conversation.kind === 'chat') return { content: ABOUT }
  const said = react(conversation)
  const [first] = request.tools ?? []
  if (choice === 'required' && !said.toolCalls && first)
    return { toolCalls: [forced(first.function.name, request)] }
  return said
}

function structured(name: string, schema: Record<string, unknown>, request: ChatRequest) {
  if (name === 'plan') return plan(request)
  if (name === 'route') return route(request)
  return fillSchema(schema)
}

function forced(name: string, request: ChatRequest) {
  const tool = request.tools?.find((one) => one.function.name === name)
  if (!tool) throw new ChatError(400, `tool_choice names ${name}, which is not among the tools`)
  const wanted = react(readConversation(request)).toolCalls?.find((call) => call.name === name)
  return wanted ?? { name, args: structured(name, tool.function.parameters ?? {}, request) }
}

/** The last request of plan and solve: `Task`, `Results`, "Answer the task from these results." */
function readResults(text: string): string | null {
  const results = /^Task:[^]*?\nResults:\s*\n([^]*?)\n+Answer the task from these results\.?\s*$/.exec(
    text,
  )?.[1]
  if (results === undefined) return null
  const found = passages(results).map((passage) => passage.text.replace(/^FAILED:\s*/, 'This failed: '))
  // A step that only says what failed repeats the words of the one that did.
  const own = found.filter(
    (one, at) => one !== '' && !found.some((other, where) => where > at && other.includes(one)),
  )
  return own.length > 0 ? own.join('\n\n') : 'There are no results to answer from.'
}

function isSchema(value: unknown): value is { name: string; schema: Record<string, unknown> } {
  return typeof value === 'object' && value !== null && 'schema' in value
}
