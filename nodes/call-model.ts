import { AIMessage, type AIMessageChunk, SystemMessage } from '@langchain/core/messages'
import type { LangGraphRunnableConfig } from '@langchain/langgraph'
import { z } from 'zod'
import { identify, NOT_JSON, withoutCalls } from '../models/chat.ts'
import { currentModel, type ModelGateway, type OpenAITool } from '../models/gateway.ts'
import { isUuid7 } from '../runtime/ids.ts'
import type { Tool } from '../tools/define.ts'
import { toolsGiven } from '../tools/policy/current.ts'
import { withEveryCallAnswered } from './conversation.ts'
import { ownTools } from './own-tools.ts'
import type { AgentState, AgentUpdate } from './state.ts'

export interface CallModelOptions {
  tools: Tool[]
  /** The system prompt, made when it is needed. */
  prompt: () => string
  model?: ModelGateway
}

/** Asks the model for its next message. Without calls in it the agent is done. */
export function callModel({ tools, prompt, model }: CallModelOptions) {
  let described: Map<Tool, OpenAITool> | undefined
  return async (state: AgentState, config: LangGraphRunnableConfig): Promise<AgentUpdate> => {
    const all = (described ??= new Map(tools.map((tool) => [tool, describeTool(tool)])))
    const given = (await toolsGiven(ownTools(tools, config))).flatMap((tool) => all.get(tool) ?? [])
    const messages = [new SystemMessage(prompt()), ...withEveryCallAnswered(state.messages)]
    const answer = await (model ?? currentModel()).invoke({ messages, tools: given }, config)
    const message = withOwnIds(answer, state)
    const done = (message.tool_calls?.length ?? 0) === 0
    return { messages: [message], verdicts: [], decisions: {}, end_reason: done ? 'completed' : null }
  }
}

function describeTool(tool: Tool): OpenAITool {
  const { $schema: _, ...parameters } = z.toJSONSchema(tool.schema, { io: 'input' })
  return { type: 'function', function: { name: tool.name, description: tool.description, parameters } }
}

/**
 * Holds and effects are keyed by these ids. Our own models give ours; whatever another model gives, or gives twice,
 * is replaced before it reaches the state.
 */
function withOwnIds(answer: AIMessage | AIMessageChunk, state: AgentState): AIMessage {
  const invalid = answer.invalid_tool_calls ?? []
  const ids = [answer.id, ...[...(answer.tool_calls ?? []), ...invalid].map(({ id }) => id)]
  const used = new Set(state.messages.flatMap((message) => [message.id, ...callIds(message)]))
  const ours = ids.every((id) => isUuid7(id) && !used.has(id)) && new Set(ids).size === ids.length
  if (!ours) return identify(answer)
  return new AIMessage({
    content: withoutCalls(answer.content),
    id: answer.id ?? '',
    response_metadata: metadataOf(answer),
    ...(answer.usage_metadata === undefined ? {} : { usage_metadata: answer.usage_metadata }),
    tool_calls: [
      ...(answer.tool_calls ?? []),
      ...invalid.map(({ id, name, args }) => ({
        type: 'tool_call' as const,
        id: id ?? '',
        name: name ?? 'unknown',
        args: { [NOT_JSON]: args ?? '' },
      })),
    ],
  })
}

/** Without LangChain's estimates of what `usage_metadata` knows from the provider. */
function metadataOf({ response_metadata }: AIMessage | AIMessageChunk): Record<string, unknown> {
  const {
    estimatedTokenUsage: _,
    prompt: __,
    completion: ___,
    usage: ____,
    ...rest
  } = response_metadata as Record<string, unknown>
  return rest
}

function callIds(message: object): (string | undefined)[] {
  return 'tool_calls' in message && Array.isArray(message.tool_calls)
    ? (message.tool_calls as { id?: string }[]).map(({ id }) => id)
    : []
}
