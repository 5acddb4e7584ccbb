import { getConfig } from '@langchain/langgraph'
import { Pregel } from '@langchain/langgraph/pregel'

const MENDED = Symbol.for('holdpoint.subgraph-resume')

type Configurable = Record<string, unknown>
type Stream = (this: unknown, input: unknown, options?: { configurable?: Configurable }) => Promise<unknown>

/**
 * Lets tasks of a subgraph that had finished stay finished when their run is taken over or resumed in part. LangGraph
 * skips them only where the config has no key `checkpoint_id`, and gives every nested call that key with no value
 * (langgraphjs #2667). The key stays where it means something: in time travel.
 *
 * Changes `Pregel` for the whole process, once, however often it is called.
 */
export function mendSubgraphResume(): void {
  const prototype = Pregel.prototype as unknown as { stream: Stream; [MENDED]?: true }
  if (prototype[MENDED]) return
  prototype[MENDED] = true
  const { stream } = prototype
  prototype.stream = function (input, options) {
    // A graph that a function calls without a config gets the surrounding task's.
    for (const configurable of [options?.configurable, getConfig()?.configurable])
      dropEmptyCheckpointId(configurable)
    return stream.call(this, input, options)
  }
}

function dropEmptyCheckpointId(configurable: Configurable | undefined): void {
  if (configurable?.['__pregel_read'] === undefined) return
  if (!('checkpoint_id' in configurable) || configurable['checkpoint_id'] !== undefined) return
  const map = configurable['checkpoint_map'] as Record<string, unknown> | undefined
  const replays = configurable['__pregel_replay_state'] !== undefined
  if (replays || map?.[String(configurable['checkpoint_ns'])] !== undefined) return
  delete configurable['checkpoint_id']
}
