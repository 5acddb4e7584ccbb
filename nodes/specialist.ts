import { HumanMessage } from '@langchain/core/messages'
import type { LangGraphRunnableConfig } from '@langchain/langgraph'
import { nameUuid } from '../runtime/ids.ts'
import { indented } from './indented.ts'
import { reportsText } from './route.ts'
import type { Agent } from './run-step.ts'
import type { SupervisorState, SupervisorUpdate } from './state.ts'

/** Hands the supervisor's assignment to a specialist, an agent with its own tools and checkpoint namespace, and its report back. */
export function specialist(name: string, agent: Agent) {
  return async (state: SupervisorState, config: LangGraphRunnableConfig): Promise<SupervisorUpdate> => {
    const reports = state.reports.length === 0 ? '' : `\nReports so far:\n${reportsText(state.reports)}`
    const text = `Task: ${indented(state.assignment)}${reports}`
    // The message has a fixed id: the node runs again when its agent is resumed, and must not ask twice.
    const message = new HumanMessage({
      id: nameUuid('assignment', name, String(state.reports.length), text),
      content: text,
    })
    const { messages, end_reason } = await agent.invoke({ messages: [message] }, config)
    const report =
      end_reason === 'completed'
        ? (messages.at(-1)?.text ?? '')
        : `FAILED: it ended early (${end_reason ?? 'unknown'}).`
    return { reports: [{ specialist: name, text: report }] }
  }
}
