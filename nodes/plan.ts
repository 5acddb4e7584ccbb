import { AIMessage, type BaseMessage, HumanMessage, SystemMessage } from '@langchain/core/messages'
import type { LangGraphRunnableConfig } from '@langchain/langgraph'
import { z } from 'zod'
import { currentModel, type ModelGateway } from '../models/gateway.ts'
import { newId } from '../runtime/ids.ts'
import type { Tool } from '../tools/define.ts'
import { toolsGiven } from '../tools/policy/current.ts'
import { lastTask } from './conversation.ts'
import { indented } from './indented.ts'
import { ownTools } from './own-tools.ts'
import { Plan, readPlan } from './plan-graph.ts'
import { prompt } from './prompt.ts'
import type { PlanState, PlanUpdate, StepResult } from './state.ts'

export interface PlanOptions {
  tools: Tool[]
  model?: ModelGateway
  maxReplans: number
}

/** Plans the newest task afresh. A plan that is not sound gets one round of repair, then the task ends as `invalid_plan`. */
export function plan(options: PlanOptions) {
  return async (state: PlanState, config: LangGraphRunnableConfig): Promise<PlanUpdate> => {
    const found = await askForPlan(options, `Task: ${lastTask(state.messages)}`, {}, config)
    return { results: null, replans: 0, ...found }
  }
}

/** Plans what is left after a failure. Finished results stay; failed ones give way to the new steps. */
export function replan(options: PlanOptions) {
  return async (state: PlanState, config: LangGraphRunnableConfig): Promise<PlanUpdate> => {
    if (state.replans >= options.maxReplans) return ended('max_replans', failureText(state.results))
    const done = Object.fromEntries(
      Object.entries(state.results).filter(([, { status }]) => status === 'done'),
    )
    const question = `Task: ${lastTask(state.messages)}\nFinished results:\n${listOf(done)}\nFailed:\n${failureText(state.results)}`
    const found = await askForPlan(options, question, state.results, config)
    return { replans: state.replans + 1, ...found }
  }
}

async function askForPlan(
  { tools, model }: PlanOptions,
  question: string,
  taken: Record<string, StepResult>,
  config: LangGraphRunnableConfig,
): Promise<PlanUpdate> {
  const { $schema: _, ...schema } = z.toJSONSchema(Plan)
  const given = await toolsGiven(ownTools(tools, config))
  const described = given
    .map(({ name, description }) => `- ${name}: ${description.split('\n')[0]}`)
    .join('\n')
  const messages: BaseMessage[] = [
    new SystemMessage(prompt('planner.v1', { tools: described })),
    new HumanMessage(question),
  ]
  let reason = ''
  for (let round = 0; round < 2; round++) {
    const answer = await (model ?? currentModel()).invoke(
      { messages, format: { name: 'plan', schema } },
      config,
    )
    const read = readPlan(answer.text, given, taken)
    if (read.ok) return { plan: read.steps, plan_error: null, end_reason: null }
    ;({ reason } = read)
    messages.push(
      new AIMessage(answer.text),
      new HumanMessage(`The plan cannot be used. ${reason} Answer with a corrected plan.`),
    )
  }
  return ended('invalid_plan', reason)
}

function ended(end_reason: 'invalid_plan' | 'max_replans', plan_error: string): PlanUpdate {
  const text =
    end_reason === 'invalid_plan'
      ? `The task was not started: no usable plan came out of the planner. ${plan_error}`
      : `The task was not finished: steps failed again after replanning.\n${plan_error}`
  return { end_reason, plan_error, plan: [], messages: [new AIMessage({ id: newId(), content: text })] }
}

export function listOf(results: Record<string, StepResult>): string {
  return (
    Object.entries(results)
      .map(([id, { text }]) => `${id}: ${indented(text)}`)
      .join('\n') || 'none'
  )
}

function failureText(results: Record<string, StepResult>): string {
  return listOf(Object.fromEntries(Object.entries(results).filter(([, { status }]) => status === 'failed')))
}
