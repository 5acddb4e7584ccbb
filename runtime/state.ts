import type { RunnableConfig } from '@langchain/core/runnables'
import type { StateSnapshot } from '@langchain/langgraph'
import type { BaseCheckpointSaver } from '@langchain/langgraph-checkpoint'
import { RuntimeError } from './errors.ts'
import type { Interop } from './interop.ts'
import type { Json } from './json.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Graph, Graphs } from './ports.ts'
import { graphIdOf, type Thread } from './thread.ts'

export interface Place {
  thread_id: string
  checkpoint_ns: string
  checkpoint_id?: string
  checkpoint_map?: Record<string, string>
}

/** A snapshot as clients see it. `values` and `tasks` hold messages, which `encode` writes. */
export interface WireState {
  values: unknown
  next: string[]
  tasks: unknown[]
  metadata: unknown
  created_at: string | null
  checkpoint: Place | null
  parent_checkpoint: Place | null
  checkpoint_id: string | null
  parent_checkpoint_id: string | null
}

export interface StatePorts {
  graphs: Graphs
  checkpoints: Checkpoints
  interop: Interop
}

const NEVER_RUN: WireState = {
  values: {},
  next: [],
  tasks: [],
  metadata: null,
  created_at: null,
  checkpoint: null,
  parent_checkpoint: null,
  checkpoint_id: null,
  parent_checkpoint_id: null,
}

/** The thread's state, now or at a checkpoint. A thread that never ran has an empty one. */
export async function readState(
  ports: StatePorts,
  thread: Thread,
  { at = {}, subgraphs }: { at?: Partial<Omit<Place, 'thread_id'>>; subgraphs: boolean },
): Promise<WireState> {
  const graph = await graphOf(ports, thread)
  if (graph === undefined) return NEVER_RUN
  const snapshot = await graph.getState(
    { configurable: { thread_id: thread.thread_id, ...at } },
    { subgraphs },
  )
  if (at.checkpoint_id !== undefined && snapshot.createdAt === undefined) {
    throw new RuntimeError(
      'checkpoint_not_found',
      `Thread ${thread.thread_id} has no checkpoint ${at.checkpoint_id}.`,
    )
  }
  // Its graph is known, and nothing of it is stored yet.
  if (snapshot.createdAt === undefined) return NEVER_RUN
  return toWire(snapshot, ports.interop)
}

/** The thread's states, newest first. */
export async function readHistory(
  ports: StatePorts,
  thread: Thread,
  options: { limit: number; before?: string; metadata?: Record<string, Json>; checkpoint_ns?: string },
): Promise<WireState[]> {
  const graph = await graphOf(ports, thread)
  if (graph === undefined) return []
  const states: WireState[] = []
  const config: RunnableConfig = {
    configurable: { thread_id: thread.thread_id, checkpoint_ns: options.checkpoint_ns ?? '' },
  }
  const history = graph.getStateHistory(config, {
    limit: options.limit,
    ...(options.metadata === undefined ? {} : { filter: options.metadata }),
    ...(options.before === undefined ? {} : { before: { configurable: { checkpoint_id: options.before } } }),
  })
  for await (const snapshot of history) states.push(toWire(snapshot, ports.interop))
  return states
}

/** The graph of the thread's last run, reading our checkpoints; `undefined` for a thread that never ran. */
async function graphOf({ graphs, checkpoints }: StatePorts, thread: Thread): Promise<Graph | undefined> {
  const graphId = graphIdOf(thread)
  if (graphId === undefined || !graphs.ids().includes(graphId)) return undefined
  return withCheckpointer(await graphs.get(graphId, thread.config.configurable ?? {}), checkpoints.plain)
}

/** The same graph with another checkpointer: compiled graphs are shared, so theirs is never set. */
export function withCheckpointer(graph: Graph, checkpointer: BaseCheckpointSaver): Graph {
  return Object.create(graph, { checkpointer: { value: checkpointer } }) as Graph
}

function toWire(snapshot: StateSnapshot, interop: Interop): WireState {
  const checkpoint = placeOf(snapshot.config)
  const parent = snapshot.parentConfig && placeOf(snapshot.parentConfig)
  return {
    values: snapshot.values,
    next: snapshot.next,
    tasks: snapshot.tasks.map((task) => toTask(task, interop)),
    metadata: snapshot.metadata ?? {},
    created_at: snapshot.createdAt ?? null,
    checkpoint,
    parent_checkpoint: parent ?? null,
    checkpoint_id: checkpoint.checkpoint_id ?? null,
    parent_checkpoint_id: parent?.checkpoint_id ?? null,
  }
}

/** A subgraph's task names its checkpoint, or where subgraphs were asked for has its whole state. */
function toTask(
  { state, error, interrupts, ...task }: StateSnapshot['tasks'][number],
  interop: Interop,
): unknown {
  const nested = state !== undefined && 'values' in state
  return {
    ...task,
    interrupts: interrupts.map((one) => ({ ...one, value: interop.show(one.value) })),
    error: error ?? null,
    checkpoint: state === undefined ? null : placeOf(nested ? state.config : state),
    state: nested ? toWire(state, interop) : null,
  }
}

export function placeOf({ configurable = {} }: RunnableConfig): Place {
  const { thread_id, checkpoint_ns, checkpoint_id, checkpoint_map } = configurable as Partial<Place>
  return {
    thread_id: thread_id ?? '',
    checkpoint_ns: checkpoint_ns ?? '',
    ...(checkpoint_id === undefined ? {} : { checkpoint_id }),
    ...(checkpoint_map === undefined ? {} : { checkpoint_map }),
  }
}
