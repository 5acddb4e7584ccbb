import { Command } from '@langchain/langgraph'
import { createTell, restored } from './artifact.ts'
import { RuntimeError } from './errors.ts'
import type { Json } from './json.ts'
import { StorageUnavailable } from './lease.ts'
import type { CreatedThread, DraftedState, StateDraft } from './checkpoints.ts'
import { type Place, placeOf, type StatePorts, withCheckpointer } from './state.ts'
import { graphIdOf, type Thread } from './thread.ts'

/** One change, as if that node had written it. `undefined` lets LangGraph find the node that came last. */
export interface StateUpdate {
  values: Json
  command?: { update?: Json; goto?: Json } | undefined
  asNode?: string | undefined
}

/** What is changed at once. */
export type Superstep = StateUpdate[]

/** What is asked of a thread that is changed; one that is created has it before it is there. */
export type ChangedThread = Pick<Thread, 'thread_id' | 'metadata' | 'config' | 'interrupts'>

/** Between its reading and its writing others may change the thread; then all is computed again. */
const TRIES = 5

/**
 * Changes the thread's state by hand: its supersteps become checkpoints, and what waited at the one before is
 * cancelled, all in one transaction. Throws `thread_busy` while a run of the thread has not ended, `invalid_update`
 * with what LangGraph says of it, and `thread_has_no_graph`. Returns the last checkpoint's place.
 */
export async function updateState(
  ports: StatePorts,
  thread: ChangedThread,
  given: Superstep[],
  at: Partial<Omit<Place, 'thread_id'>>,
  by: string,
  created?: CreatedThread,
): Promise<Place> {
  const supersteps = await whole(ports, thread.thread_id, given)
  for (let tries = 0; tries < TRIES; tries += 1) {
    const draft = await ports.checkpoints.draft(thread.thread_id, by)
    const { place, state } = await write(ports, thread, draft, supersteps, at)
    if (await draft.commit(state, created)) return place
  }
  throw new RuntimeError(
    'thread_busy',
    `The state of thread ${thread.thread_id} was changed by others meanwhile, ${TRIES} times. Try again.`,
  )
}

/** What was read as a reference is sent back as one. */
function whole({ checkpoints }: StatePorts, threadId: string, given: Superstep[]): Promise<Superstep[]> {
  const find = (sha256: string) => checkpoints.artifact(threadId, sha256)
  const restore = async <T extends Json | undefined>(value: T) =>
    value === undefined ? value : ((await restored(value, find)) as T)
  const update = async ({ values, command, asNode }: StateUpdate): Promise<StateUpdate> => ({
    values: await restore(values),
    command: command && {
      ...command,
      update: await restore(command.update),
      goto: await restore(command.goto),
    },
    asNode,
  })
  return Promise.all(given.map((superstep) => Promise.all(superstep.map(update))))
}

async function write(
  { graphs, checkpoints }: StatePorts,
  thread: ChangedThread,
  { saver }: StateDraft,
  supersteps: Superstep[],
  at: Partial<Omit<Place, 'thread_id'>>,
): Promise<{ place: Place; state: DraftedState }> {
  const graphId = graphIdOf(thread)
  if (graphId === undefined) {
    throw new RuntimeError(
      'thread_has_no_graph',
      `Thread ${thread.thread_id} has no graph ID. Start a run on it, or set metadata.graph_id.`,
    )
  }
  await checkPlace(thread, saver, at)
  const configurable = { ...thread.config.configurable, thread_id: thread.thread_id }
  const graph = withCheckpointer(await graphs.get(graphId, configurable), saver)
  const changed = await said(
    graph.bulkUpdateState({ configurable: { ...configurable, ...at } }, supersteps.map(toUpdates)),
  )
  const snapshot = await said(graph.getState({ configurable }))
  const task = rootTaskOf(at.checkpoint_ns)
  return {
    place: placeOf(changed),
    state: {
      values: createTell(checkpoints.limits)(snapshot.values),
      paused: snapshot.next.length > 0,
      // A new checkpoint of the root has no pauses. One of a subgraph's ends those of the task that it runs in.
      interrupts:
        task === undefined
          ? {}
          : Object.fromEntries(Object.entries(thread.interrupts).filter(([id]) => id !== task)),
    },
  }
}

/** LangGraph would take one that is not there for a thread that never ran, and its end for the new state. */
async function checkPlace(
  { thread_id }: ChangedThread,
  saver: StateDraft['saver'],
  { checkpoint_id, checkpoint_ns = '' }: Partial<Place>,
): Promise<void> {
  if (checkpoint_id === undefined) return
  if ((await saver.getTuple({ configurable: { thread_id, checkpoint_ns, checkpoint_id } })) !== undefined)
    return
  throw new RuntimeError(
    'checkpoint_not_found',
    `Thread ${thread_id} has no checkpoint ${checkpoint_id}. Its history lists those that there are.`,
  )
}

function toUpdates(superstep: Superstep) {
  return {
    updates: superstep.map(({ values, command, asNode }) => ({
      values: (command === undefined ? values : new Command(command as object)) as Record<string, unknown>,
      ...(asNode === undefined ? {} : { asNode }),
    })),
  }
}

/** `works:task-id|inner:other` is somewhere below the root's task `task-id`. */
function rootTaskOf(namespace: string | undefined): string | undefined {
  return namespace === undefined || namespace === '' ? undefined : namespace.split('|')[0]?.split(':')[1]
}

/** What a graph makes of an update is the client's affair: a wrong node, a value that its reducer refuses. */
async function said<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof StorageUnavailable || error instanceof RuntimeError) throw error
    const message = error instanceof Error ? error.message : String(error)
    throw new RuntimeError('invalid_update', `The state does not take this update: ${message}`, {
      cause: error,
    })
  }
}
