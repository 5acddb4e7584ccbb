import { END, START, StateGraph } from '@langchain/langgraph'
import type { ModelGateway } from '../models/gateway.ts'
import { prompt } from '../nodes/prompt.ts'
import { begin, FINISH, route } from '../nodes/route.ts'
import { specialist } from '../nodes/specialist.ts'
import { SupervisorState } from '../nodes/state.ts'
import { toolsNamed } from '../tools/registry.ts'
import { reactGraph } from './react.ts'

export interface SupervisorOptions {
  /** Instead of the run's model. */
  model?: ModelGateway
  /** Assignments for one task, after which it ends with `max_handoffs`. */
  maxHandoffs?: number
  /** Model calls of one assignment. */
  maxModelCalls?: number
}

const SPECIALISTS = {
  researcher:
    'finds things out: lists and reads files, fetches pages, queries the database, recalls. Changes nothing.',
  analyst: 'computes, also with JavaScript or Python over the files and the database, and writes files.',
  operator: 'acts outside: sends mail, which a person has to approve, asks people, and remembers.',
}

/** One router and three specialists, each with its own tools. They report back until the router answers. */
export function supervisorGraph({ model, maxHandoffs = 8, maxModelCalls = 12 }: SupervisorOptions = {}) {
  const given = model ? { model } : {}
  const agent = (name: keyof typeof SPECIALISTS, ...tools: string[]) =>
    reactGraph({
      tools: toolsNamed(...tools),
      maxModelCalls,
      prompt: () => prompt(`${name}.v1`),
      ...given,
    }).compile({ name })
  const reading = ['list_files', 'read_file', 'search_files']
  const researcher = agent('researcher', ...reading, 'http_fetch', 'sql_query', 'current_time', 'recall')
  const analyst = agent(
    'analyst',
    'run_javascript',
    'run_python',
    ...reading,
    'write_file',
    'edit_file',
    'sql_query',
    'calculator',
    'current_time',
  )
  const operator = agent('operator', 'send_email', 'read_file', 'ask_human', 'remember')
  return new StateGraph(SupervisorState)
    .addNode('begin', begin)
    .addNode('supervisor', route({ specialists: SPECIALISTS, maxHandoffs, ...given }))
    .addNode('researcher', specialist('researcher', researcher), { subgraphs: [researcher] })
    .addNode('analyst', specialist('analyst', analyst), { subgraphs: [analyst] })
    .addNode('operator', specialist('operator', operator), { subgraphs: [operator] })
    .addEdge(START, 'begin')
    .addEdge('begin', 'supervisor')
    .addConditionalEdges('supervisor', ({ next }) => (next === FINISH ? END : next), [
      'researcher',
      'analyst',
      'operator',
      END,
    ])
    .addEdge('researcher', 'supervisor')
    .addEdge('analyst', 'supervisor')
    .addEdge('operator', 'supervisor')
}

/** What the server serves, without a checkpointer: whoever runs it gives one. */
export const graph = supervisorGraph().compile({ name: 'supervisor' })
