import type { LifecycleData } from '@langchain/langgraph'
import type { EventLog } from '../runtime/ports.ts'
import { frameName } from '../runtime/protocol.ts'
import { CommandError } from './command-error.ts'

/** The protocol's node of `agent.getTree`. */
export interface AgentTreeNode {
  namespace: string[]
  status: LifecycleData['event']
  graph_name: string
  children: AgentTreeNode[]
}

/** The agents of a run as its lifecycle frames tell of them; of the thread's last run unless one is named. */
export async function treeOf(
  events: EventLog,
  threadId: string,
  runId: string | undefined,
): Promise<AgentTreeNode> {
  const id = runId ?? (await events.lastRun(threadId))?.runId
  const root: AgentTreeNode = { namespace: [], status: 'started', graph_name: 'root', children: [] }
  const nodes = new Map([['', root]])
  let seen = false
  for (let last = -1; id !== undefined;) {
    const batch = await events.read(threadId, id, last, 500)
    for (const { event, data } of batch) {
      const name = frameName(event)
      if (name?.channel !== 'lifecycle') continue
      seen = true
      const told = (JSON.parse(data) as { data: LifecycleData }).data
      const node = nodes.get(name.namespace.join('|')) ?? { ...root, namespace: name.namespace, children: [] }
      node.status = told.event
      node.graph_name = told.graph_name ?? node.graph_name
      if (nodes.has(name.namespace.join('|'))) continue
      nodes.set(name.namespace.join('|'), node)
      const parent = nodes.get(name.namespace.slice(0, -1).join('|')) ?? root
      parent.children.push(node)
    }
    last = batch.at(-1)?.seq ?? last
    if (batch.length < 500) break
  }
  if (!seen)
    throw new CommandError(
      'no_such_run',
      'No run of this thread has been followed by this protocol. Send run.start.',
    )
  return root
}
