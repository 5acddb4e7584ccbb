import type { Checkpoints, FencedSaver } from './checkpoints.ts'
import type { ClaimedRun, Durability } from './run.ts'
import type { CallPlace } from './run-context.ts'

/** An effect is about to happen whose call is in no checkpoint and, under `exit`, will be in none until it is over. */
export class NeedsCheckpoints extends Error {
  constructor() {
    super('The run has an effect, so its steps have to be checkpointed as they happen.')
    this.name = 'NeedsCheckpoints'
  }
}

/**
 * Waits until the checkpoint that holds a call is committed, whatever the durability: else a takeover would ask the
 * model again, get another call, and do the effect twice. `sync` has done so before the node began. Under `exit` it
 * ends the stream with `NeedsCheckpoints` unless an earlier run stored the call: nothing has happened yet, so the run
 * can begin anew. It aborts, because a node may take what is thrown for its own failure.
 */
export function checkpointed(
  run: ClaimedRun,
  durability: Durability,
  saver: FencedSaver,
  checkpoints: Checkpoints,
  stream: { signal: AbortSignal; abort: (reason: Error) => void },
): (place: CallPlace) => Promise<void> {
  return async ({ namespace, checkpointId, messageId }) => {
    // The last part names the calling task, the rest the graph that it is a task of.
    const graph = namespace.split('|').slice(0, -1).join('|')
    if (durability === 'async') return await saver.committed(checkpointId, stream.signal)
    if (durability === 'exit' && !(await checkpoints.holdsMessage(run.thread_id, graph, messageId))) {
      const reason = new NeedsCheckpoints()
      stream.abort(reason)
      throw reason
    }
  }
}
