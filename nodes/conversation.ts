import {
  AIMessage,
  type BaseMessage,
  HumanMessage,
  isAIMessage,
  isToolMessage,
  ToolMessage,
} from '@langchain/core/messages'
import { nameUuid } from '../runtime/ids.ts'
import { renderResult } from '../tools/render-result.ts'

/** The newest message with calls, if nothing came after it but answers to them. */
export function openMessage(messages: BaseMessage[]): AIMessage | undefined {
  const last = messages.findLast((message) => !isToolMessage(message))
  return last !== undefined && isAIMessage(last) && (last.tool_calls?.length ?? 0) > 0 ? last : undefined
}

/** What came after the last word of a person. */
export function sinceTask(messages: BaseMessage[]): BaseMessage[] {
  const start = messages.findLastIndex(
    (message) => message instanceof HumanMessage || message.getType() === 'human',
  )
  return messages.slice(start + 1)
}

/** The model's turns since then. */
export function modelCalls(messages: BaseMessage[]): number {
  return sinceTask(messages).filter((message) => isAIMessage(message)).length
}

/** The newest message of a person, as text. */
export function lastTask(messages: BaseMessage[]): string {
  return messages.findLast((message) => message.getType() === 'human')?.text ?? ''
}

/** The same messages with an answer behind every call that has none: no model accepts a conversation with open calls. */
export function withEveryCallAnswered(messages: BaseMessage[]): BaseMessage[] {
  const answered = new Set(messages.filter(isToolMessage).map((message) => message.tool_call_id))
  return messages.flatMap((message) => {
    const open = isAIMessage(message)
      ? (message.tool_calls ?? []).filter(({ id }) => !answered.has(id ?? ''))
      : []
    return [message, ...open.map(({ id, name }) => toolMessage(message.id ?? '', id ?? '', name, NOT_RUN))]
  })
}

const NOT_RUN = {
  status: 'error',
  code: 'DENIED',
  message: 'This call was not run: the person went on without it.',
} as const

/** The answer to a call. Its id follows from the call's, so that a node that runs again replaces its own message. */
export function toolMessage(
  messageId: string,
  callId: string,
  name: string,
  result: Parameters<typeof renderResult>[1],
): ToolMessage {
  return new ToolMessage({
    id: nameUuid('tool-message', messageId, callId),
    tool_call_id: callId,
    name,
    status: result.status === 'ok' ? 'success' : 'error',
    content: renderResult(name, result),
  })
}
