import { AIMessage, HumanMessage, SystemMessage } from '@langchain/core/messages'
import type { LangGraphRunnableConfig } from '@langchain/langgraph'
import { z } from 'zod'
import { currentModel, type ModelGateway } from '../models/gateway.ts'
import { newId } from '../runtime/ids.ts'
import { lastTask } from './conversation.ts'
import { indented } from './indented.ts'
import { prompt } from './prompt.ts'
import type { Report, SupervisorState, SupervisorUpdate } from './state.ts'

export const FINISH = 'finish'

export interface RouteOptions {
  /** Names of the specialists, with what each is for. */
  specialists: Record<string, string>
  maxHandoffs: number
  model?: ModelGateway
}

/** Begins a task: the reports of the one before are not its own. */
export function begin(): SupervisorUpdate {
  return { reports: null, next: '', assignment: '', end_reason: null }
}

/** Decides who works next, or answers. After `maxHandoffs` it ends the task as it is. */
export function route({ specialists, maxHandoffs, model }: RouteOptions) {
  const Route = z.strictObject({
    next: z.enum([...Object.keys(specialists), FINISH]),
    task: z.string(),
    answer: z.string(),
  })
  const described = Object.entries(specialists)
    .map(([name, purpose]) => `- ${name}: ${purpose}`)
    .join('\n')
  return async (state: SupervisorState, config: LangGraphRunnableConfig): Promise<SupervisorUpdate> => {
    if (state.reports.length >= maxHandoffs) return { next: FINISH, end_reason: 'max_handoffs' }
    const { $schema: _, ...schema } = z.toJSONSchema(Route)
    const question = `${lastTask(state.messages)}\nReports so far:\n${reportsText(state.reports)}`
    const messages = [
      new SystemMessage(prompt('supervisor.v1', { specialists: described })),
      new HumanMessage(question),
    ]
    const answer = await (model ?? currentModel()).invoke(
      { messages, format: { name: 'route', schema } },
      config,
    )
    const chosen = Route.parse(JSON.parse(answer.text))
    if (chosen.next !== FINISH) return { next: chosen.next, assignment: chosen.task }
    return {
      next: FINISH,
      end_reason: 'completed',
      messages: [new AIMessage({ id: newId(), content: chosen.answer })],
    }
  }
}

export function reportsText(reports: Report[]): string {
  return reports.map(({ specialist, text }) => `${specialist}: ${indented(text)}`).join('\n') || 'none'
}
