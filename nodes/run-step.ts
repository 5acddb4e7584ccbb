import { HumanMessage } from '@langchain/core/messages'
import { isGraphBubbleUp, type LangGraphRunnableConfig } from '@langchain/langgraph'
import { nameUuid } from '../runtime/ids.ts'
import { listOf } from './plan.ts'
import type { AgentState, PlanUpdate, StepInput, StepResult } from './state.ts'

/** A compiled agent, as a node calls it. */
export interface Agent {
  invoke(input: Partial<AgentState>, config: LangGraphRunnableConfig): Promise<AgentState>
}

const FAILED = 'FAILED:'

/** Does one step of a plan in an agent of its own, in a checkpoint namespace of its own. */
export function runStep(agent: Agent) {
  return async ({ task, step, results }: StepInput, config: LangGraphRunnableConfig): Promise<PlanUpdate> => {
    const needed = Object.fromEntries(
      step.depends_on.flatMap((id) => (results[id] ? [[id, results[id]]] : [])),
    )
    const text = `Task: ${task}\nYour step: ${step.goal}\nResults of earlier steps:\n${listOf(needed)}\n`
    // The message has a fixed id: the node runs again when its agent is resumed, and must not ask twice.
    const message = new HumanMessage({ id: nameUuid('step', step.id, text), content: text })
    return {
      results: { [step.id]: await resultOf(() => agent.invoke({ messages: [message] }, config), config) },
    }
  }
}

async function resultOf(
  work: () => Promise<AgentState>,
  config: LangGraphRunnableConfig,
): Promise<StepResult> {
  try {
    const { messages, end_reason } = await work()
    const text = messages.at(-1)?.text ?? ''
    if (end_reason !== 'completed')
      return { status: 'failed', text: `The step ended early: ${end_reason ?? 'unknown'}.` }
    return text.startsWith(FAILED)
      ? { status: 'failed', text: text.slice(FAILED.length).trim() }
      : { status: 'done', text }
  } catch (error) {
    // A hold is no failure, and a cancelled run plans nothing more.
    if (isGraphBubbleUp(error) || config.signal?.aborted === true) throw error
    return { status: 'failed', text: `The step failed: ${error instanceof Error ? error.name : 'Error'}.` }
  }
}
