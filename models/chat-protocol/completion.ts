import { createHash } from 'node:crypto'
import type { ChatRequest } from './request.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** An assistant's message: text, tool calls, or both. */
export interface ChatAnswer {
  content?: string
  toolCalls?: { id?: string; name: string; args: Json }[]
}

export interface Speaker {
  model: string
  fingerprint: string
}

/** The message as one `chat.completion` object. */
export function completion(request: ChatRequest, answer: ChatAnswer, speaker: Speaker): Json {
  const told = settle(request, answer)
  const message = {
    role: 'assistant',
    content: told.content,
    refusal: null,
    ...(told.calls.length > 0 && { tool_calls: told.calls }),
  }
  return {
    ...head(request, speaker, 'chat.completion'),
    choices: [{ index: 0, message, logprobs: null, finish_reason: told.finish }],
    usage: usage(request, told),
  }
}

/** The same message as the `chat.completion.chunk` objects of a stream, in order. */
export function* completionChunks(
  request: ChatRequest,
  answer: ChatAnswer,
  speaker: Speaker,
): Generator<Json> {
  const told = settle(request, answer)
  const withUsage = request.stream_options?.include_usage === true
  const top = head(request, speaker, 'chat.completion.chunk')
  const chunk = (choices: Json[], used: Json = null): Json => ({
    ...top,
    choices,
    ...(withUsage && { usage: used }),
  })
  const delta = (piece: Json, finish: string | null = null) =>
    chunk([{ index: 0, delta: piece, logprobs: null, finish_reason: finish }])

  yield delta({ role: 'assistant', content: told.content === null ? null : '' })
  for (const piece of pieces(told.content ?? '', TEXT_PIECE)) yield delta({ content: piece })
  for (const [index, call] of told.calls.entries()) {
    const { name } = call.function
    yield delta({ tool_calls: [{ index, id: call.id, type: 'function', function: { name, arguments: '' } }] })
    for (const piece of pieces(call.function.arguments, ARGUMENTS_PIECE)) {
      yield delta({ tool_calls: [{ index, function: { arguments: piece } }] })
    }
  }
  yield delta({}, told.finish)
  if (withUsage) yield chunk([], usage(request, told))
}

function settle(request: ChatRequest, answer: ChatAnswer) {
  const wanted = request.parallel_tool_calls === false ? answer.toolCalls?.slice(0, 1) : answer.toolCalls
  const calls = (wanted ?? []).map((call, index) => {
    const args = JSON.stringify(call.args)
    const id = call.id ?? `call_${digest(`${request.messages.length} ${index} ${call.name} ${args}`)}`
    return { id, type: 'function', function: { name: call.name, arguments: args } }
  })
  const limit = request.max_completion_tokens ?? request.max_tokens ?? Infinity
  const cut = answer.content !== undefined && tokens(answer.content) > limit
  const content = cut ? answer.content?.slice(0, limit * CHARS_PER_TOKEN) : answer.content
  return {
    content: content ?? null,
    calls,
    finish: calls.length > 0 ? 'tool_calls' : cut ? 'length' : 'stop',
  }
}

function head(request: ChatRequest, speaker: Speaker, object: string) {
  return {
    id: `chatcmpl-${digest(JSON.stringify(request.messages))}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model: speaker.model,
    system_fingerprint: speaker.fingerprint,
  }
}

/** Tokens are counted as four characters each: there is no tokenizer here, and budgets need a number. */
const CHARS_PER_TOKEN = 4

function tokens(text: string): number {
  return Math.ceil(text.length / CHARS_PER_TOKEN)
}

function usage(request: ChatRequest, told: ReturnType<typeof settle>) {
  const prompt = tokens(JSON.stringify(request.messages) + JSON.stringify(request.tools ?? ''))
  const answered = tokens(
    (told.content ?? '') + told.calls.map((call) => JSON.stringify(call.function)).join(''),
  )
  return { prompt_tokens: prompt, completion_tokens: answered, total_tokens: prompt + answered }
}

/** Characters of a piece: text is watched as it grows. */
const TEXT_PIECE = 12
/** Nobody watches arguments, and LangChain parses all of them again at each piece: 9 KB in dozens cost it 0.9 s. */
const ARGUMENTS_PIECE = 96

/** A stream in pieces of at most `length`, never between the halves of a surrogate pair. */
function pieces(text: string, length: number): string[] {
  return text.match(new RegExp(`[^]{1,${length}}(?![\\udc00-\\udfff])`, 'g')) ?? []
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 24)
}
