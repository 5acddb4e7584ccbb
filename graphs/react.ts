import { END, START, StateGraph } from '@langchain/langgraph'
import type { ModelGateway } from '../models/gateway.ts'
import { callModel } from '../nodes/call-model.ts'
import { callTools } from '../nodes/call-tools.ts'
import { modelCalls } from '../nodes/conversation.ts'
import { hold } from '../nodes/hold.ts'
import { judgeCalls } from '../nodes/judge-calls.ts'
import { prompt } from '../nodes/prompt.ts'
import { isLoop } from '../nodes/loop.ts'
import { AgentState } from '../nodes/state.ts'
import type { Tool } from '../tools/define.ts'
import { AGENT_TOOLS } from './agent-tools.ts'

export interface ReactOptions {
  /** The agent's allowlist. */
  tools?: Tool[]
  /** Instead of the run's model. */
  model?: ModelGateway
  /** The system prompt. */
  prompt?: () => string
  /** Model calls for one task, after which it ends with `max_steps`. */
  maxModelCalls?: number
}

const MAX_MODEL_CALLS = 25

/**
 * The loop of model and tools: ask the model, judge its calls, hold those that a person must release, run them side
 * by side, ask again. Compile it with a checkpointer to use it by hand.
 *
 * @example
 * const agent = reactGraph({ tools: toolsNamed('read_file') }).compile({ checkpointer: new MemorySaver() })
 */
export function reactGraph({
  tools = AGENT_TOOLS,
  model,
  prompt: systemPrompt = () => prompt('react.v1'),
  maxModelCalls = MAX_MODEL_CALLS,
}: ReactOptions = {}) {
  return new StateGraph(AgentState)
    .addNode('model', callModel({ tools, prompt: systemPrompt, ...(model ? { model } : {}) }))
    .addNode('policy', judgeCalls({ tools }))
    .addNode('hold', hold({ tools }))
    .addNode('tools', callTools({ tools }))
    .addNode('stop', ({ messages }) => ({ end_reason: isLoop(messages) ? 'loop' : 'max_steps' }))
    .addEdge(START, 'model')
    .addConditionalEdges('model', ({ end_reason }) => (end_reason === null ? 'policy' : END), ['policy', END])
    .addConditionalEdges(
      'policy',
      ({ verdicts }) => (verdicts.some(({ action }) => action === 'hold') ? 'hold' : 'tools'),
      ['hold', 'tools'],
    )
    .addEdge('hold', 'tools')
    .addConditionalEdges(
      'tools',
      ({ messages }) => (modelCalls(messages) < maxModelCalls && !isLoop(messages) ? 'model' : 'stop'),
      ['model', 'stop'],
    )
    .addEdge('stop', END)
}

/** What the server serves, without a checkpointer: whoever runs it gives one. */
export const graph = reactGraph().compile({ name: 'react' })
