import type { Tell } from './artifact.ts'
import type { NewEvent } from './event.ts'
import type { Interop } from './interop.ts'
import { encode } from './json.ts'
import type { RunRequest, StreamMode } from './run.ts'
import { placeOf } from './state.ts'

/** LangGraph's own stream modes that the client's modes need. */
export type GraphMode =
  | 'values'
  | 'updates'
  | 'messages'
  | 'custom'
  | 'tasks'
  | 'checkpoints'
  | 'debug'
  | 'tools'

export interface Wire {
  /** What to ask the graph for. */
  modes: GraphMode[]
  /** Whether the client wants LangChain's events as well. */
  events: boolean
  /** The events that a chunk becomes, for this client. */
  translate(namespace: string[], mode: string, payload: unknown): NewEvent[]
}

/** Modes that LangGraph streams out of every node, also where nobody asks for what subgraphs say of themselves. */
const EVERYWHERE = new Set(['messages', 'custom', 'tools'])

/** Turns LangGraph's chunks into the Agent Server protocol's events. */
export function createWire(
  request: Pick<RunRequest, 'stream_mode' | 'stream_subgraphs'>,
  { show }: Pick<Interop, 'show'>,
  tell: Tell,
): Wire {
  const wanted = new Set<StreamMode>(request.stream_mode)
  const messages = createMessageEvents()
  return {
    modes: graphModes(wanted),
    events: wanted.has('events'),
    translate(namespace, mode, payload) {
      if (namespace.length > 0 && !request.stream_subgraphs && !EVERYWHERE.has(mode)) return []
      const suffix = namespace.length > 0 && request.stream_subgraphs ? `|${namespace.join('|')}` : ''
      const event = (name: string, data: unknown, write = tell): NewEvent => ({
        event: `${name}${suffix}`,
        data: write(data),
      })
      switch (mode) {
        case 'values':
          return [
            ...(wanted.has('values') ? [event('values', shown(payload, show))] : []),
            ...(wanted.has('messages')
              ? messages.complete(payload).map((data) => event('messages/complete', data))
              : []),
          ]
        case 'messages':
          return [
            ...(wanted.has('messages-tuple') ? [event('messages', payload)] : []),
            ...(wanted.has('messages')
              ? messages.partial(payload).map(([name, data]) => event(name, data))
              : []),
          ]
        case 'checkpoints':
          return wanted.has('checkpoints') ? [event('checkpoints', publicCheckpoint(payload, show))] : []
        case 'debug':
          return wanted.has('debug') ? [event('debug', publicDebug(payload, show))] : []
        case 'updates':
          return wanted.has(mode) ? [event(mode, shown(payload, show))] : []
        case 'tasks':
          return wanted.has(mode) ? [event(mode, asked(payload, show))] : []
        case 'events':
          return wanted.has(mode) ? [event(mode, payload)] : []
        // What nodes and tools say themselves is in no state, where it could be fetched.
        case 'custom':
        case 'tools':
          return wanted.has(mode) ? [event(mode, payload, encode)] : []
        default:
          return []
      }
    },
  }
}

/** A chunk that tells of interrupts, with their values as clients read them. */
function shown(payload: unknown, show: Interop['show']): unknown {
  if (typeof payload !== 'object' || payload === null || !('__interrupt__' in payload)) return payload
  const list = payload.__interrupt__
  if (!Array.isArray(list)) return payload
  const interrupts = (list as { value?: unknown }[]).map((one) => ({ ...one, value: show(one.value) }))
  return { ...payload, __interrupt__: interrupts }
}

function graphModes(wanted: Set<StreamMode>): GraphMode[] {
  const modes = new Set<GraphMode>(['updates'])
  for (const mode of wanted) {
    if (mode === 'messages-tuple') modes.add('messages')
    else if (mode === 'messages') modes.add('messages').add('values')
    else if (mode !== 'events') modes.add(mode)
  }
  return [...modes]
}

interface Chunk {
  id?: string
  concat?(other: Chunk): Chunk
}

/** The protocol's `messages` mode: each message as it grows, and once more when the state has it. */
function createMessageEvents() {
  const growing = new Map<string, Chunk>()
  const completed = new Set<string>()
  return {
    partial(payload: unknown): [string, unknown][] {
      const [chunk, metadata] = payload as [Chunk, unknown]
      // Only chunks grow; a whole message that a node returns comes with the state.
      if (chunk.id === undefined || typeof chunk.concat !== 'function') return []
      const before = growing.get(chunk.id)
      const message = before?.concat?.(chunk) ?? chunk
      growing.set(chunk.id, message)
      const partial: [string, unknown] = ['messages/partial', [message]]
      return before === undefined ? [['messages/metadata', { [chunk.id]: { metadata } }], partial] : [partial]
    },
    complete(values: unknown): unknown[][] {
      const list =
        typeof values === 'object' && values !== null && 'messages' in values ? values.messages : []
      const fresh = (Array.isArray(list) ? (list as Chunk[]) : []).filter(
        ({ id }) => id !== undefined && !completed.has(id),
      )
      for (const { id } of fresh) {
        completed.add(id ?? '')
        growing.delete(id ?? '')
      }
      return fresh.length > 0 ? [fresh] : []
    },
  }
}

interface CheckpointChunk {
  config?: { configurable?: Record<string, unknown> }
  parentConfig?: { configurable?: Record<string, unknown> }
  tasks?: { state?: { configurable?: Record<string, unknown> } }[]
  [key: string]: unknown
}

/** LangGraph's chunk carries the whole config, services and internals included; clients get where the checkpoint is. */
function publicCheckpoint(payload: unknown, show: Interop['show']) {
  const { config = {}, parentConfig, tasks, values, metadata, next } = payload as CheckpointChunk
  return {
    values,
    metadata,
    next,
    tasks: tasks?.map(({ state, ...task }) => ({
      ...(asked(task, show) as object),
      ...(state ? { checkpoint: placeOf(state) } : {}),
    })),
    checkpoint: placeOf(config),
    parent_checkpoint: parentConfig ? placeOf(parentConfig) : null,
  }
}

/** Of a checkpoint also where it is as a config says it: Studio forks by that. */
function publicDebug(payload: unknown, show: Interop['show']): unknown {
  const debug = payload as { type: string; payload: unknown; [key: string]: unknown }
  if (debug.type !== 'checkpoint') return { ...debug, payload: asked(debug.payload, show) }
  const told = publicCheckpoint(debug.payload, show)
  const { checkpoint, parent_checkpoint: parent } = told
  const places = {
    config: { configurable: checkpoint },
    parent_config: parent && { configurable: parent },
  }
  return { ...debug, payload: { ...places, ...told } }
}

/** A task, or what came of it, with its interrupts' values as clients read them. */
function asked(payload: unknown, show: Interop['show']): unknown {
  if (typeof payload !== 'object' || payload === null || !('interrupts' in payload)) return payload
  const list = payload.interrupts
  if (!Array.isArray(list)) return payload
  const interrupts = (list as { value?: unknown }[]).map((one) => ({ ...one, value: show(one.value) }))
  return { ...payload, interrupts }
}
