import { RuntimeError } from './errors.ts'
import type { Json } from './json.ts'

/** How large a value may be in a state, and what becomes of a larger one. */
export interface StateLimits {
  /** Of a channel's value, or of one element where that is a list; as JSON. */
  bytes: number
  /** `artifact`: clients get a reference in its place (runtime/artifact.ts). `error`: it does not get in. */
  over: 'artifact' | 'error'
}

export const DEFAULT_LIMITS: StateLimits = { bytes: 1_048_576, over: 'artifact' }
/** Smaller ones would make references of messages. */
export const LOWEST_LIMIT = 1_024

/** A run that comes to it fails with this name; a change by hand is refused. */
export class StateTooLarge extends RuntimeError {
  constructor(what: string, bytes: number, { bytes: limit }: StateLimits) {
    super(
      'state_too_large',
      `${what} has ${bytes} bytes, and HOLDPOINT_STATE_LIMIT allows ${limit}. Keep the content elsewhere, such as in a file of the thread's workspace, and its name in the state; or raise the limit, or set HOLDPOINT_STATE_OVER_LIMIT=artifact.`,
    )
    this.name = 'StateTooLarge'
  }
}

/** What a client gives a graph, channel by channel, as far as it can be known before the graph has it. */
export function checkGiven(limits: StateLimits, given: Json | undefined): void {
  if (limits.over !== 'error' || typeof given !== 'object' || given === null) return
  for (const [channel, value] of Object.entries(given)) {
    for (const part of Array.isArray(value) ? value : [value]) {
      const bytes = Buffer.byteLength(JSON.stringify(part) ?? '')
      if (bytes > limits.bytes) throw new StateTooLarge(`A value given for ${channel}`, bytes, limits)
    }
  }
}
