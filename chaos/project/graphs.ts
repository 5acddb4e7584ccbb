import { AIMessage } from '@langchain/core/messages'
import { END, Send, START, StateGraph } from '@langchain/langgraph'
import { planAndSolveGraph } from '../../graphs/plan-and-solve.ts'
import { reactGraph } from '../../graphs/react.ts'
import { callModel } from '../../nodes/call-model.ts'
import { callTools } from '../../nodes/call-tools.ts'
import { openMessage } from '../../nodes/conversation.ts'
import { hold } from '../../nodes/hold.ts'
import { judgeCalls } from '../../nodes/judge-calls.ts'
import { AgentState } from '../../nodes/state.ts'
import { toolsNamed } from '../../tools/registry.ts'
import { journalTools } from './tools.ts'

const tools = [...journalTools, ...toolsNamed('send_email')]
const prompt = () => 'You are driven by a script.'

export const react = reactGraph({ tools, prompt }).compile({ name: 'chaos_react' })

/** Steps side by side, each an agent in a subgraph. */
export const plan = planAndSolveGraph({ tools }).compile({ name: 'chaos_plan' })

/** Each call of a message in a task of its own, so that some are finished when the process dies and others are not. */
export const fan = new StateGraph(AgentState)
  .addNode('model', callModel({ tools, prompt }))
  .addNode('policy', judgeCalls({ tools }))
  .addNode('hold', hold({ tools }))
  .addNode('call', callTools({ tools }))
  .addNode('join', () => ({}))
  .addEdge(START, 'model')
  .addConditionalEdges('model', ({ end_reason }) => (end_reason === null ? 'policy' : END), ['policy', END])
  .addConditionalEdges(
    'policy',
    (state) => (state.verdicts.some(({ action }) => action === 'hold') ? 'hold' : calls(state)),
    ['hold', 'call'],
  )
  .addConditionalEdges('hold', calls, ['call'])
  .addEdge('call', 'join')
  .addEdge('join', 'model')
  .compile({ name: 'chaos_fan' })

function calls(state: AgentState): Send[] {
  const message = openMessage(state.messages)
  return (message?.tool_calls ?? []).map((call) => {
    const alone = new AIMessage({ id: message?.id ?? '', content: '', tool_calls: [call] })
    return new Send('call', { ...state, messages: [alone] })
  })
}
