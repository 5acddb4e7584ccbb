import type { BaseMessage } from '@langchain/core/messages'
import { Annotation, messagesStateReducer } from '@langchain/langgraph'
import type { Json } from '../runtime/json.ts'
import type { Verdict } from '../tools/policy.ts'

/**
 * Why an agent stopped. `completed`: the model had nothing more to call; `max_steps`: its cap of model calls; `loop`: it
 * asked for the same call again and again;
 * `max_handoffs`, `invalid_plan`, `max_replans`: the caps of the supervisor and the planner.
 */
export type EndReason = 'completed' | 'max_steps' | 'loop' | 'max_handoffs' | 'invalid_plan' | 'max_replans'

/** What a person decided on one call. */
export interface CallDecision {
  type: 'approve' | 'edit' | 'reject' | 'respond'
  args?: Record<string, Json>
  message?: string
}

/** The last value counts. */
const latest = <T>(initial: () => T) => Annotation<T>({ reducer: (_, next) => next, default: initial })

export const AgentState = Annotation.Root({
  messages: Annotation<BaseMessage[]>({ reducer: messagesStateReducer, default: () => [] }),
  /** The policy's word on each call of the newest message. */
  verdicts: latest<Verdict[]>(() => []),
  /** People's words on the calls of the newest message that were held, by call id. */
  decisions: latest<Record<string, CallDecision>>(() => ({})),
  end_reason: latest<EndReason | null>(() => null),
})
export type AgentState = typeof AgentState.State
export type AgentUpdate = typeof AgentState.Update

/** One step of a plan. */
export interface PlanStep {
  id: string
  goal: string
  /** Names of the tools that the planner suggests; the step's agent still has its own allowlist. */
  tools: string[]
  /** Ids of the steps whose results this one needs. */
  depends_on: string[]
}

export interface StepResult {
  status: 'done' | 'failed'
  text: string
}

export const PlanState = Annotation.Root({
  messages: Annotation<BaseMessage[]>({ reducer: messagesStateReducer, default: () => [] }),
  plan: latest<PlanStep[]>(() => []),
  /** By step id. Parallel steps add theirs; a new task begins with `null`, which empties it. */
  results: Annotation<Record<string, StepResult>, Record<string, StepResult> | null>({
    reducer: (all, added) => (added === null ? {} : { ...all, ...added }),
    default: () => ({}),
  }),
  replans: latest<number>(() => 0),
  /** Why no plan came out of the planner, for people. */
  plan_error: latest<string | null>(() => null),
  end_reason: latest<EndReason | null>(() => null),
})
export type PlanState = typeof PlanState.State
export type PlanUpdate = typeof PlanState.Update

/** What a parallel step is started with. */
export interface StepInput {
  task: string
  step: PlanStep
  results: Record<string, StepResult>
}

export interface Report {
  specialist: string
  text: string
}

export const SupervisorState = Annotation.Root({
  messages: Annotation<BaseMessage[]>({ reducer: messagesStateReducer, default: () => [] }),
  /** What the specialists handed back for the current task. `null` empties it. */
  reports: Annotation<Report[], Report[] | null>({
    reducer: (all, added) => (added === null ? [] : [...all, ...added]),
    default: () => [],
  }),
  next: latest<string>(() => ''),
  /** What the chosen specialist is asked to do. */
  assignment: latest<string>(() => ''),
  end_reason: latest<EndReason | null>(() => null),
})
export type SupervisorState = typeof SupervisorState.State
export type SupervisorUpdate = typeof SupervisorState.Update
