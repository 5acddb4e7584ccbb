import { isDeepStrictEqual } from 'node:util'
import type { Json } from '../chat-protocol/completion.ts'
import type { PastCall } from './conversation.ts'

export interface Call {
  name: string
  args: Record<string, Json>
}

/** Either calls that have to be made first, or what came of them, or why it ends here. */
export type Progress<T> =
  | { kind: 'call'; calls: Call[] }
  | { kind: 'done'; value: T }
  | { kind: 'stopped'; reason: string; refused: boolean }

export interface History {
  /** What the call gave; asks for it where it was not made yet, and once more where that can help. */
  ask(call: Call): Progress<{ result: unknown; args: unknown }>
  has(tool: string): boolean
}

/**
 * The calls of a conversation by what they were for. A call whose arguments a person edited still counts as
 * the one that was asked for: calls that match exactly are taken first, then others of the same tool in order.
 */
export function createHistory(calls: readonly PastCall[], tools: { has(name: string): boolean }): History {
  const claimed = new Set<PastCall>()

  function ask(call: Call): Progress<{ result: unknown; args: unknown }> {
    if (!tools.has(call.name)) return stopped(`I have no tool ${call.name} here`)
    const same = calls.filter((past) => past.name === call.name && !claimed.has(past))
    const exact = same.filter((past) => isDeepStrictEqual(past.args, call.args))
    const made = exact.length > 0 ? exact : same.slice(0, 1)
    for (const past of made) claimed.add(past)
    const last = made.at(-1)
    if (!last?.outcome)
      return last ? stopped(`${call.name} was never answered`) : { kind: 'call', calls: [call] }
    const { outcome, args } = last
    if (outcome.kind === 'ok') return { kind: 'done', value: { result: outcome.result, args } }
    if (outcome.kind === 'text') return { kind: 'done', value: { result: outcome.text, args } }
    if (outcome.code === 'DENIED')
      return { kind: 'stopped', reason: refusal(call.name, outcome.message), refused: true }
    // The same arguments and the same clock give the same error. An effect is never tried again: it may have happened.
    const again = made.length < 2 && outcome.code === 'INTERNAL' && !EFFECTS.has(call.name)
    if (again) return { kind: 'call', calls: [call] }
    return stopped(`${call.name} failed (${outcome.code}): ${outcome.message}`)
  }

  return { ask, has: (tool) => tools.has(tool) }
}

/** The values of all, or all calls that are still to be made, side by side. */
export function together<T>(parts: readonly Progress<T>[]): Progress<T[]> {
  const halted = parts.find((part) => part.kind === 'stopped')
  if (halted) return halted
  const calls = parts.flatMap((part) => (part.kind === 'call' ? part.calls : []))
  if (calls.length > 0) return { kind: 'call', calls }
  return { kind: 'done', value: parts.flatMap((part) => (part.kind === 'done' ? [part.value] : [])) }
}

export function stopped(reason: string): { kind: 'stopped'; reason: string; refused: false } {
  return { kind: 'stopped', reason, refused: false }
}

const EFFECTS = new Set(['send_email', 'http_fetch'])

function refusal(tool: string, message: string): string {
  const reason = message.trim().replace(/[.\s]+$/, '')
  return `${tool} was refused${reason === '' ? ', without a reason' : `: ${reason}`}`
}
