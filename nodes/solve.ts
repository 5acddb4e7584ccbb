import { HumanMessage, SystemMessage } from '@langchain/core/messages'
import type { LangGraphRunnableConfig } from '@langchain/langgraph'
import { currentModel, type ModelGateway } from '../models/gateway.ts'
import { lastTask } from './conversation.ts'
import { listOf } from './plan.ts'
import { prompt } from './prompt.ts'
import type { PlanState, PlanUpdate } from './state.ts'

/** Answers the task from the steps' results. */
export function solve({ model }: { model?: ModelGateway }) {
  return async (state: PlanState, config: LangGraphRunnableConfig): Promise<PlanUpdate> => {
    const question = `Task: ${lastTask(state.messages)}\nResults:\n${listOf(state.results)}\nAnswer the task from these results.`
    const messages = [new SystemMessage(prompt('solver.v1')), new HumanMessage(question)]
    const answer = await (model ?? currentModel()).invoke({ messages }, config)
    return { messages: [answer], end_reason: 'completed' }
  }
}
