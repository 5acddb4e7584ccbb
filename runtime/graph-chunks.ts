import type { StreamEvent } from '@langchain/core/tracers/log_stream'
import type { Graph } from './ports.ts'
import type { GraphMode } from './wire.ts'

/** `namespace` says in which subgraph, outermost first; `mode` is LangGraph's, or `events` for LangChain's own events. */
export interface Chunk {
  namespace: string[]
  mode: string
  payload: unknown
}

type Options = Omit<NonNullable<Parameters<Graph['stream']>[1]>, 'version'> & { streamMode: GraphMode[] }

/** Streams the graph with its subgraphs; `events` adds what LangChain reports of every call inside, once. */
export async function* chunksOf(
  graph: Graph,
  input: Parameters<Graph['stream']>[0],
  options: Options,
  events: boolean,
): AsyncGenerator<Chunk> {
  if (!events) {
    for await (const chunk of await graph.stream(input, { ...options, subgraphs: true })) yield chunkOf(chunk)
    return
  }
  let root: string | undefined
  const reported = graph.streamEvents(input, { ...options, subgraphs: true, version: 'v2' })
  for await (const event of reported as AsyncIterable<StreamEvent>) {
    root ??= event.run_id
    // The graph's own chunks come as events of its run.
    if (event.event === 'on_chain_stream' && event.run_id === root) yield chunkOf(event.data.chunk)
    else if (!event.tags?.includes('langsmith:hidden'))
      yield { namespace: [], mode: 'events', payload: event }
  }
}

function chunkOf(chunk: unknown): Chunk {
  const [namespace, mode, payload] = chunk as [string[], string, unknown]
  return { namespace, mode, payload }
}
