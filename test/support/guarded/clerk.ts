import { AIMessage } from '@langchain/core/messages'
import { END, START, StateGraph } from '@langchain/langgraph'
import { z } from 'zod'
import { callTools } from '../../../nodes/call-tools.ts'
import { hold } from '../../../nodes/hold.ts'
import { judgeCalls } from '../../../nodes/judge-calls.ts'
import { AgentState } from '../../../nodes/state.ts'
import { defineTool } from '../../../tools/define.ts'

const refund = defineTool({
  name: 'refund',
  description: 'Pays money back.',
  schema: z.object({ cents: z.number().int() }),
  risk: 'medium',
  effect: 'once',
  run: async ({ cents }) => ({ refunded: cents }),
})

/** Asks for one refund, which a person has to approve. */
export const clerk = new StateGraph(AgentState)
  .addNode('asks', ({ messages }) => ({
    messages: [
      new AIMessage({
        id: `refund-${messages.length}`,
        content: '',
        tool_calls: [{ id: 'call', name: 'refund', args: { cents: 500 } }],
      }),
    ],
  }))
  .addNode('policy', judgeCalls({ tools: [refund] }))
  .addNode('hold', hold({ tools: [refund] }))
  .addNode('tools', callTools({ tools: [refund] }))
  .addEdge(START, 'asks')
  .addEdge('asks', 'policy')
  .addEdge('policy', 'hold')
  .addEdge('hold', 'tools')
  .addEdge('tools', END)
  .compile()
