import { type BaseMessage, isAIMessage, isToolMessage } from '@langchain/core/messages'
import { canonicalJson, hasCanonicalForm } from '../runtime/call.ts'
import { encode, toJson } from '../runtime/json.ts'
import { sinceTask } from './conversation.ts'

/** How often a call may have the same answer. Once more and it is not run; after that the agent ends. */
const MAX_SAME = 3
const MAX_REFUSED = 2

const NOT_AGAIN = 'the same answer each time'

interface AskedCall {
  name: string
  args: unknown
}

/** Why the call is not run once more: in this task it had the same answer too often. */
export function whyNotAgain(messages: BaseMessage[], call: AskedCall): string | undefined {
  const { same } = historyOf(messages, call)
  if (same < MAX_SAME) return undefined
  return `${call.name} was called ${same} times with exactly these arguments, with ${NOT_AGAIN}. It was not called again. Do something else, or say what you could not do.`
}

/** Whether the newest message asks for a call that has been refused for that reason, and refused again. */
export function isLoop(messages: BaseMessage[]): boolean {
  const last = messages.findLast((message) => isAIMessage(message))
  return (last?.tool_calls ?? []).some((call) => historyOf(messages, call).refused >= MAX_REFUSED)
}

/** The answers that such calls had since the person's word: how many of the last ones are the same, and how many were refused. */
function historyOf(messages: BaseMessage[], call: AskedCall): { same: number; refused: number } {
  const task = sinceTask(messages)
  const wanted = nameOf(call)
  let [same, refused, last] = [0, 0, '']
  for (const message of task) {
    if (!isAIMessage(message)) continue
    // Several in one message are one step.
    const one = message.tool_calls?.find((other) => nameOf(other) === wanted)
    const answer = task.find((reply) => isToolMessage(reply) && reply.tool_call_id === one?.id)?.text
    if (one === undefined || answer === undefined) continue
    if (answer.includes(NOT_AGAIN)) refused += 1
    else [same, last] = [answer === last ? same + 1 : 1, answer]
  }
  return { same, refused }
}

/** The order of the arguments says nothing. */
function nameOf({ name, args }: AskedCall): string {
  const json = toJson(args)
  return `${name} ${hasCanonicalForm(json) ? canonicalJson(json) : encode(json)}`
}
