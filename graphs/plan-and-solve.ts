import { END, Send, START, StateGraph } from '@langchain/langgraph'
import type { ModelGateway } from '../models/gateway.ts'
import { lastTask } from '../nodes/conversation.ts'
import { plan, replan } from '../nodes/plan.ts'
import { readySteps } from '../nodes/plan-graph.ts'
import { prompt } from '../nodes/prompt.ts'
import { runStep } from '../nodes/run-step.ts'
import { solve } from '../nodes/solve.ts'
import { PlanState } from '../nodes/state.ts'
import type { Tool } from '../tools/define.ts'
import { AGENT_TOOLS } from './agent-tools.ts'
import { reactGraph } from './react.ts'

export interface PlanAndSolveOptions {
  /** The allowlist of the planner and of every step. */
  tools?: Tool[]
  /** Instead of the run's model. */
  model?: ModelGateway
  /** New plans after a failed step, before the task ends with `max_replans`. */
  maxReplans?: number
  /** Model calls of one step. */
  maxModelCalls?: number
}

/**
 * Plan first, then do: steps that do not need each other run side by side, each as an agent in its own checkpoint
 * namespace, so that one may be held while the others go on. A failed step leads to a new plan for what is left.
 */
export function planAndSolveGraph({
  tools = AGENT_TOOLS,
  model,
  maxReplans = 2,
  maxModelCalls = 12,
}: PlanAndSolveOptions = {}) {
  const given = model ? { model } : {}
  const agent = reactGraph({ tools, maxModelCalls, prompt: () => prompt('step.v1'), ...given }).compile({
    name: 'step',
  })
  const options = { tools, maxReplans, ...given }
  return (
    new StateGraph(PlanState)
      .addNode('planner', plan(options))
      .addNode('replanner', replan(options))
      .addNode('step', runStep(agent), { subgraphs: [agent] })
      // Steps that ran side by side meet here: an edge out of `step` itself would be decided once for each of them, by a
      // state that has its own result alone, and start what depends on them more than once.
      .addNode('join', () => ({}))
      .addNode('solve', solve(given))
      .addEdge(START, 'planner')
      .addConditionalEdges('planner', next, ['step', 'replanner', 'solve', END])
      .addConditionalEdges('replanner', next, ['step', 'replanner', 'solve', END])
      .addEdge('step', 'join')
      .addConditionalEdges('join', next, ['step', 'replanner', 'solve', END])
      .addEdge('solve', END)
  )
}

function next({ messages, plan: steps, results, end_reason }: PlanState) {
  if (end_reason !== null) return END
  const ready = readySteps(steps, results)
  if (steps.some(({ id }) => results[id]?.status === 'failed')) return 'replanner'
  if (ready.length === 0) return 'solve'
  const task = lastTask(messages)
  return ready.map((step) => new Send('step', { task, step, results }))
}

/** What the server serves, without a checkpointer: whoever runs it gives one. */
export const graph = planAndSolveGraph().compile({ name: 'plan_and_solve' })
