import type { Decision, Hold } from '../runtime/hold.ts'
import type { Table } from './table-text.ts'

export type Agent = 'react' | 'plan_and_solve' | 'supervisor'

/** What went wrong in a task (requirements EV-03); `other` is a failure of the server itself. */
export type FailureClass = 'planning' | 'tool_misuse' | 'context_overflow' | 'external_tool' | 'other'

/** One task for one agent, with everything that has to be true afterwards. */
export interface EvalCase {
  /** Stable: the baseline is kept under it. */
  id: string
  agent: Agent
  tags: string[]
  /** What lies in the thread's workspace, by path. */
  files: Record<string, string>
  /** What the person says, one message after the other on the same thread. */
  tasks: string[]
  /** What the person decides on a hold. Without it they approve. */
  decide?: (hold: Hold) => Decision
  expected: Expected
}

export interface Expected {
  answer: ExpectedAnswer
  /** The calls in order: no more, no fewer, no others. */
  steps: Step[]
  /** Tool calls that the task needs at least. */
  optimal: number
  holds: CallMatch[]
  mails: ExpectedMail[]
  /** Files that have to be new in the workspace, with the rows below their header. */
  written: Record<string, Table>
  /** The state's `end_reason`. */
  endReason: string
  /** The class of what the agent ran into, where the case wants it to run into something. */
  failure: FailureClass | null
}

/** About the answer to the last task. */
export interface ExpectedAnswer {
  /** Texts whatever their case and spaces, or patterns. */
  says: (string | RegExp)[]
  never?: RegExp[]
  /** Rows that have to be in it, and no others. */
  rows?: Table
}

export interface ExpectedMail {
  to: string[]
  cc?: string[]
  subject?: string | RegExp
  /** The body's rows, and no others. */
  rows?: Table
  /** The whole body, but for blank lines at its end. */
  body?: string
  never?: RegExp
}

/** A call, calls of one message in any order, or agents that work side by side. */
export type Step = CallMatch | { together: CallMatch[] } | { lanes: CallMatch[][] }

export interface CallMatch {
  tool: string
  /** Arguments that matter: patterns for texts, values for the rest. */
  args: Record<string, unknown>
  /** The specialist that makes it. */
  by?: string
  /** How it ends: `ok`, or a tool error's code. `DENIED` is also what a rejected call gets. */
  ends: string
}

/** `call('read_file', { path: 'a.csv' })`: it is made, and ends well. */
export function call(
  tool: string,
  args: Record<string, unknown> = {},
  more: Partial<Pick<CallMatch, 'by' | 'ends'>> = {},
): CallMatch {
  return { tool, args, ends: 'ok', ...more }
}

export function callsOf(step: Step): CallMatch[] {
  if ('together' in step) return step.together
  return 'lanes' in step ? step.lanes.flat() : [step]
}
