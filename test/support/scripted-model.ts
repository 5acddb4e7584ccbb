import { setTimeout as sleep } from 'node:timers/promises'
import { ChatError, startChatServer, type ChatServer } from '../../models/chat-protocol.ts'
import type { ChatAnswer, Json } from '../../models/chat-protocol/completion.ts'
import type { ChatRequest } from '../../models/chat-protocol/request.ts'

export type ScriptedAnswer =
  | { content?: string; toolCalls?: { name: string; args: Json; id?: string }[] }
  | { json: Json }
  /** An HTTP status, answered with an OpenAI-style error. */
  | { error: number; message?: string }

export type Answers = ScriptedAnswer | ((request: ChatRequest) => ScriptedAnswer | Promise<ScriptedAnswer>)

export type ScriptedStep = Answers | (Pacing & { answer: Answers }) | (Pacing & ScriptedAnswer)

interface Pacing {
  delayMs?: number
  /** Which request takes this step. Without it: the next one that no earlier step matches. */
  match?: (request: ChatRequest) => boolean
}

export interface ScriptedModel extends ChatServer {
  /** Every request so far of this script, in order of arrival. */
  readonly requests: readonly ChatRequest[]
  /** Goes on with another script. Throws if the last one has unused steps, or a request found none in it. */
  play(steps: readonly ScriptedStep[]): void
  /** Ends the server. Throws if steps are unused or a request found no step. */
  close(): Promise<void>
}

/** A model that answers by a script, on the same protocol as every other. */
export async function startScriptedModel(steps: readonly ScriptedStep[]): Promise<ScriptedModel> {
  const left = steps.map(normalise)
  const requests: ChatRequest[] = []
  const unanswered: string[] = []

  async function answer(request: ChatRequest, signal: AbortSignal): Promise<ChatAnswer> {
    requests.push(request)
    const index = left.findIndex((step) => step.match?.(request) ?? true)
    const [step] = index === -1 ? [] : left.splice(index, 1)
    if (!step) {
      unanswered.push(lastWords(request))
      throw new ChatError(400, `The script has no step for: ${lastWords(request)}`)
    }
    if (step.delayMs) await sleep(step.delayMs, undefined, { signal })
    return told(typeof step.answer === 'function' ? await step.answer(request) : step.answer)
  }

  function checkScript() {
    const problems = [
      ...unanswered.map((words) => `no step for: ${words}`),
      ...left.map(
        (step) => `unused: ${typeof step.answer === 'function' ? 'a function' : JSON.stringify(step.answer)}`,
      ),
    ]
    if (problems.length > 0)
      throw new Error(`The scripted model's script does not fit:\n${problems.join('\n')}`)
  }

  const server = await startChatServer({
    model: 'scripted',
    fingerprint: 'scripted: a test, not a model',
    answer,
  })
  return {
    url: server.url,
    requests,
    play(next) {
      try {
        checkScript()
      } finally {
        left.splice(0, left.length, ...next.map(normalise))
        requests.length = 0
        unanswered.length = 0
      }
    },
    async close() {
      await server.close()
      checkScript()
    },
  }
}

function normalise(step: ScriptedStep): Pacing & { answer: Answers } {
  if (typeof step === 'function') return { answer: step }
  if ('answer' in step) return step
  const { delayMs, match, ...answer } = step as Pacing & ScriptedAnswer
  return { delayMs, match, answer }
}

function told(answer: ScriptedAnswer): ChatAnswer {
  if ('error' in answer) throw new ChatError(answer.error, answer.message ?? `Scripted error ${answer.error}`)
  if ('json' in answer) return { content: JSON.stringify(answer.json) }
  return answer
}

function lastWords(request: ChatRequest): string {
  return JSON.stringify(request.messages.at(-1)?.content ?? null).slice(0, 200)
}
