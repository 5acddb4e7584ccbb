import type { CallbackManagerForLLMRun } from '@langchain/core/callbacks/manager'
import { BaseChatModel } from '@langchain/core/language_models/chat_models'
import type { BaseMessage, MessageContent } from '@langchain/core/messages'
import { AIMessage, AIMessageChunk } from '@langchain/core/messages'
import type { ChatGenerationChunk, ChatResult } from '@langchain/core/outputs'
import { ChatOpenAICompletions } from '@langchain/openai'
import { newId } from '../runtime/ids.ts'
import { takeMessageId } from './message-id.ts'

export interface ChatSettings {
  model: string
  apiKey?: string
  baseUrl?: string
  /** Most tokens of one answer. */
  maxTokens?: number
}

const TIMEOUT_MS = 120_000
const RETRIES = 2
const MAX_TOKENS = 8_192

/** A model behind the OpenAI chat-completions protocol. */
export function chatModel({ model, apiKey, baseUrl, maxTokens = MAX_TOKENS }: ChatSettings): IdentifiedChat {
  return new IdentifiedChat({
    model,
    maxTokens,
    timeout: TIMEOUT_MS,
    maxRetries: RETRIES,
    // Always: without it LangChain itself parses an answer of a JSON format, and fails at one that is none, again and
    // again, instead of handing it to the node that would ask for a better one.
    streaming: true,
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(baseUrl === undefined ? {} : { configuration: { baseURL: baseUrl } }),
  })
}

/**
 * Gives every message and tool call an id of ours. Providers repeat and omit theirs, and holds and effects are keyed
 * by them. It happens here, so that the chunks that a client sees stream by have the same ids as the message in the state.
 */
class IdentifiedChat extends ChatOpenAICompletions {
  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this['ParsedCallOptions'],
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const { id, giveBack } = takeMessageId()
    const callIds = new Map<number, string>()
    try {
      for await (const chunk of super._streamResponseChunks(messages, options)) {
        chunk.message = identifyChunk(chunk.message as AIMessageChunk, id, callIds)
        yield chunk
        await runManager?.handleLLMNewToken(
          chunk.text,
          { prompt: 0, completion: 0 },
          undefined,
          undefined,
          undefined,
          { chunk },
        )
      }
    } catch (error) {
      giveBack()
      throw error
    }
  }

  /** LangGraph's v3 stream asks for these. Made of the chunks above, and not by the provider's class past them. */
  override async *_streamChatModelEvents(
    ...asked: Parameters<BaseChatModel['_streamChatModelEvents']>
  ): ReturnType<BaseChatModel['_streamChatModelEvents']> {
    yield* BaseChatModel.prototype._streamChatModelEvents.apply(this, asked)
  }

  override async _generate(
    messages: BaseMessage[],
    options: this['ParsedCallOptions'],
    runManager?: CallbackManagerForLLMRun,
  ): Promise<ChatResult> {
    const result = await super._generate(messages, options, runManager)
    for (const generation of result.generations) {
      if (!(generation.message instanceof AIMessageChunk))
        generation.message = identify(generation.message as AIMessage)
    }
    return result
  }

  /**
   * Four characters each. LangChain would ask a host on the internet for a tokenizer, and wait for it at every answer,
   * to estimate what the provider's own usage says.
   */
  override getNumTokens(content: MessageContent): Promise<number> {
    return Promise.resolve(
      Math.ceil((typeof content === 'string' ? content : JSON.stringify(content)).length / 4),
    )
  }
}

function identifyChunk(chunk: AIMessageChunk, id: string, callIds: Map<number, string>): AIMessageChunk {
  return new AIMessageChunk({
    content: chunk.content,
    id,
    response_metadata: chunk.response_metadata,
    ...(chunk.usage_metadata === undefined ? {} : { usage_metadata: chunk.usage_metadata }),
    tool_call_chunks: (chunk.tool_call_chunks ?? []).map((call) => {
      const index = call.index ?? 0
      if (call.name !== undefined && !callIds.has(index)) callIds.set(index, newId())
      // Only the first piece of a call has an id: pieces are joined by concatenation.
      return { ...call, id: call.name === undefined ? undefined : callIds.get(index) }
    }),
  })
}

/** The same answer with ids of ours, and calls whose arguments were no JSON among the others, to be answered like them. */
export function identify(message: AIMessage): AIMessage {
  return new AIMessage({
    content: withoutCalls(message.content),
    id: newId(),
    response_metadata: message.response_metadata,
    ...(message.usage_metadata === undefined ? {} : { usage_metadata: message.usage_metadata }),
    tool_calls: [
      ...(message.tool_calls ?? []).map((call) => ({ ...call, id: newId() })),
      ...(message.invalid_tool_calls ?? []).map((call) => ({
        type: 'tool_call' as const,
        name: call.name ?? 'unknown',
        args: { [NOT_JSON]: call.args ?? '' },
        id: newId(),
      })),
    ],
  })
}

/**
 * A message of content blocks (LangGraph's v3 stream makes them) has its calls among these as well, under the ids that
 * they came with; LangChain would make two calls of one whose id is replaced. It puts them back from `tool_calls`.
 */
export function withoutCalls(content: AIMessage['content']): AIMessage['content'] {
  return typeof content === 'string' ? content : content.filter(({ type }) => !CALL_BLOCKS.has(type))
}

const CALL_BLOCKS = new Set(['tool_call', 'tool_call_chunk', 'invalid_tool_call'])

/** The only argument of a call whose arguments were not JSON. No tool's schema takes it. */
export const NOT_JSON = 'arguments that are not valid JSON'
