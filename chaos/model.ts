import { setTimeout as sleep } from 'node:timers/promises'
import { type ChatServer, startChatServer } from '../models/chat-protocol.ts'
import type { ChatAnswer, Json } from '../models/chat-protocol/completion.ts'
import { type ChatMessage, type ChatRequest, textOf } from '../models/chat-protocol/request.ts'
import { doneText, goalOf, readGoal, readTask, type Script, type ScriptedCall } from './script.ts'

/** Long enough that processes die while a model is being asked. */
const THINKS_MS = 50

/**
 * A model whose answer follows from the conversation alone: an execution that takes a run over and asks again is told
 * the same, with other ids, as a real model would.
 */
export function startScriptedModel(onAsked: (request: ChatRequest) => void = () => {}): Promise<ChatServer> {
  return startChatServer({
    model: 'chaos',
    fingerprint: 'chaos: a script, not a model',
    async answer(request, signal) {
      onAsked(request)
      await sleep(THINKS_MS, undefined, { signal })
      return answerTo(request)
    },
  })
}

function answerTo(request: ChatRequest): ChatAnswer {
  const asked = request.messages.findLastIndex(({ role }) => role === 'user')
  const text = asked === -1 ? '' : textOf(request.messages[asked] as ChatMessage)
  const script = readTask(text)
  if (script === undefined) return { content: 'There is no script in this conversation.' }
  if (request.response_format?.type === 'json_schema')
    return { content: JSON.stringify(planOf(script, text)) }
  const turn = request.messages.slice(asked + 1).filter(({ role }) => role === 'assistant').length
  const goal = readGoal(text)
  if (goal !== undefined) return turn === 0 ? callsOf(goal) : { content: 'The step is done.' }
  const calls = (request.tools ?? []).length === 0 ? undefined : script.turns[turn]
  return calls === undefined ? { content: doneText(script.tag) } : callsOf(calls)
}

/** Every step beside the others but the last, which waits for them. After a failure: the failed ones again. */
function planOf({ turns }: Script, text: string) {
  const failed = [...(text.split('\nFailed:\n')[1] ?? '').matchAll(/^s(\d+)(r*):/gm)]
  const again = failed.map(([, index, tries]) => ({ index: Number(index), id: `s${index}${tries}r` }))
  const all = turns.map((_, index) => ({ index, id: `s${index}` }))
  const steps = (again.length > 0 ? again : all).map(({ index, id }, place, list) => ({
    id,
    goal: goalOf(turns[index] ?? []),
    tools: [],
    depends_on: list.length > 2 && place === list.length - 1 ? list.slice(0, -1).map((one) => one.id) : [],
  }))
  return { steps }
}

function callsOf(calls: ScriptedCall[]): ChatAnswer {
  return { toolCalls: calls.map((call) => ({ name: call.tool, args: argsOf(call) })) }
}

function argsOf({ tool, note, before, after }: ScriptedCall): Json {
  if (tool === 'send_email') return { to: 'reader@example.com', subject: note, body: note }
  return { note, before, after }
}
