import { DirectedGraph } from 'graphology'
import { hasCycle } from 'graphology-dag'
import { z } from 'zod'
import type { Tool } from '../tools/define.ts'
import type { PlanStep, StepResult } from './state.ts'

export const MAX_STEPS = 20

/** What the planner returns. Strict, and every field required: providers' constrained decoding asks for both. */
export const Plan = z.strictObject({
  steps: z
    .array(
      z.strictObject({
        id: z.string().regex(/^[a-zA-Z0-9_-]{1,40}$/, 'must be 1 to 40 letters, digits, - or _'),
        goal: z.string().min(1).max(2_000),
        tools: z.array(z.string()).max(20),
        depends_on: z.array(z.string()).max(MAX_STEPS),
      }),
    )
    .min(1)
    .max(MAX_STEPS),
})

/**
 * Reads a planner's answer: JSON of the schema, steps with ids of their own, known tools, dependencies that exist
 * and no cycle. `finished` are steps of an earlier plan, which the new one may build on.
 */
export function readPlan(
  text: string,
  tools: Tool[],
  finished: Record<string, StepResult>,
): { ok: true; steps: PlanStep[] } | { ok: false; reason: string } {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { ok: false, reason: 'The plan is not valid JSON.' }
  }
  const parsed = Plan.safeParse(json)
  if (!parsed.success)
    return { ok: false, reason: `The plan does not fit the schema: ${z.prettifyError(parsed.error)}` }
  const { steps } = parsed.data
  const problems = [...unknownTools(steps, tools), ...brokenLinks(steps, finished)]
  return problems.length === 0 ? { ok: true, steps } : { ok: false, reason: problems.join(' ') }
}

function unknownTools(steps: PlanStep[], tools: Tool[]): string[] {
  const known = new Set(tools.map(({ name }) => name))
  return steps.flatMap(({ id, tools: wanted }) =>
    wanted
      .filter((name) => !known.has(name))
      .map((name) => `Step "${id}" wants the tool "${name}", which does not exist.`),
  )
}

function brokenLinks(steps: PlanStep[], finished: Record<string, StepResult>): string[] {
  const graph = new DirectedGraph()
  const problems: string[] = []
  for (const { id } of steps) {
    if (graph.hasNode(id) || id in finished) problems.push(`The id "${id}" is used twice.`)
    graph.mergeNode(id)
  }
  for (const { id, depends_on } of steps) {
    for (const needed of depends_on) {
      if (graph.hasNode(needed)) graph.mergeDirectedEdge(needed, id)
      else if (finished[needed]?.status !== 'done')
        problems.push(`Step "${id}" depends on "${needed}", which does not exist.`)
    }
  }
  if (hasCycle(graph)) problems.push('The steps depend on each other in a circle.')
  return problems
}

/** The steps that have no result and whose dependencies all have one. */
export function readySteps(steps: PlanStep[], results: Record<string, StepResult>): PlanStep[] {
  return steps.filter(
    ({ id, depends_on }) =>
      results[id] === undefined && depends_on.every((needed) => results[needed]?.status === 'done'),
  )
}
