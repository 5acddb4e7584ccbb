import type { Graph } from './ports.ts'

interface JsonSchema {
  type: string
  properties: Record<string, unknown>
}

/**
 * What can be said of a graph's shapes from the compiled graph alone: the names of its channels. Annotations leave
 * no types behind at run time, so a channel's own schema is open, but for `messages`.
 */
export function schemasOf(graphId: string, graph: Graph) {
  return {
    graph_id: graphId,
    input_schema: objectOf(startChannels(graph)),
    output_schema: objectOf(names(graph.outputChannels)),
    state_schema: objectOf(names(graph.streamChannelsList)),
    config_schema: null,
    context_schema: null,
  }
}

function startChannels(graph: Graph): string[] {
  // `__start__` is the channel that takes the input whole; what it may hold are the state's channels.
  return names(graph.streamChannelsList)
}

function names(channels: unknown): string[] {
  const list: unknown[] = Array.isArray(channels) ? channels : [channels]
  return list.map(String).filter((name) => !name.startsWith('__') && !name.startsWith('branch:'))
}

function objectOf(channels: string[]): JsonSchema {
  return {
    type: 'object',
    properties: Object.fromEntries(channels.map((name) => [name, name === 'messages' ? MESSAGES : {}])),
  }
}

const MESSAGES = {
  type: 'array',
  items: {
    type: 'object',
    properties: { type: { type: 'string' }, role: { type: 'string' }, content: {}, id: { type: 'string' } },
  },
}
