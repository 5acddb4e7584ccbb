import type { Hold } from '../runtime/hold.ts'
import type { ReadMail } from './eml.ts'

/** All that a case's run showed from outside, in the order in which the stream told it. */
export interface Observation {
  calls: ObservedCall[]
  holds: ObservedHold[]
  mails: ReadMail[]
  /** Text of the files that were not there before, by path. */
  written: Record<string, string>
  answer: string
  endReason: string
  /** Status of the last run; the error of the first that failed. */
  status: string
  error: string | null
  /** The agents' turns, the planner's and the router's included. */
  turns: number
  /** Of the messages that the stream shows: a planner's and a router's calls leave none. */
  tokens: number
  model: string
  fingerprint: string
  ms: number
}

export interface ObservedCall {
  id: string
  /** The message that asked for it. */
  messageId: string
  /** `step:…`, `analyst:…`; empty for an agent that is the whole graph. */
  namespace: string
  tool: string
  args: unknown
  /** Position in the stream of all the case's runs; null where it never ran. */
  startedAt: number | null
  endedAt: number | null
  /** `ok`, a tool error's code, or `open` where it has no answer. */
  ends: string
}

export interface ObservedHold {
  hold: Hold
  /** The thread's status while it waited. */
  threadStatus: string
  /** Position in the stream: what came later came after the decision. */
  decidedAt: number
  /** Whether the decision lets it run: approved, or with other arguments. */
  released: boolean
}
