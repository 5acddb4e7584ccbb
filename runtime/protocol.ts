import type { LifecycleData, ProtocolEvent } from '@langchain/langgraph'
import type { Tell } from './artifact.ts'
import type { NewEvent } from './event.ts'
import type { Interop } from './interop.ts'
import { encode } from './json.ts'
import type { Graph } from './ports.ts'
import type { Interrupt } from './thread.ts'

/**
 * The frames of event streaming v2 stand in the events' table beside the legacy events of other runs; of these it has
 * what they ask and how they ended, so that a reader knows of all runs of its thread. Their `event` is
 * `v2|channel|namespace…`, which is all that a filter needs; their `data` is the frame's `params`, as they are sent.
 */
const PREFIX = 'v2|'

export interface FrameName {
  channel: string
  namespace: string[]
}

/** `undefined` for the events of legacy streams. */
export function frameName(event: string): FrameName | undefined {
  if (!event.startsWith(PREFIX)) return undefined
  const [, channel = '', ...namespace] = event.split('|')
  return { channel, namespace }
}

/** The `method` that a channel's frames have. */
export function methodOf(channel: string): string {
  if (channel === 'input') return 'input.requested'
  return channel.startsWith('custom:') ? 'custom' : channel
}

interface Params {
  namespace: string[]
  timestamp: number
  node?: string | undefined
  data: unknown
}

function toEvent(channel: string, params: Params, write: Tell = encode): NewEvent {
  // The column is split at bars, which LangGraph allows in no name of a node; a custom channel may be named anything.
  const name = [channel.replaceAll(/[|\r\n]/g, ' '), ...params.namespace].join('|')
  return { event: `${PREFIX}${name}`, data: write(params) }
}

/** How a run ended, for whoever follows its thread. Not before its end is committed. */
export function lifecycleEnd(event: LifecycleData['event'], error?: string): NewEvent {
  const data: LifecycleData = { event, graph_name: 'root', ...(error === undefined ? {} : { error }) }
  return toEvent('lifecycle', { namespace: [], timestamp: Date.now(), data })
}

/** What is asked, for whoever follows the thread of a run that a legacy route started. */
export function inputRequested({ id, value }: Interrupt): NewEvent {
  const data = { interrupt_id: id, payload: value }
  return toEvent('input', { namespace: [], timestamp: Date.now(), data })
}

/**
 * What a legacy run's own event tells those who follow its thread: that it runs, and its values where its client asked
 * for them. `undefined` for what has no frame, and for the frames that stand beside it.
 */
export function legacyFrame({
  event,
  data,
  startedAt,
}: NewEvent & { startedAt: Date }): NewEvent | undefined {
  const frame = (channel: string, json: string) => ({
    event: `${PREFIX}${channel}`,
    data: `{"namespace":[],"timestamp":${startedAt.getTime()},"data":${json}}`,
  })
  if (event === 'metadata') return frame('lifecycle', '{"event":"running","graph_name":"root"}')
  return event === 'values' ? frame('values', data) : undefined
}

export interface Frame {
  events: NewEvent[]
  /** Told of by this frame, as the graph raised them. */
  interrupts: { namespace: string[]; list: { id?: string; value?: unknown }[] } | undefined
  /** Must not be seen before the pause that it tells of is durable. */
  tellsOfPause: boolean
}

const ENDS = new Set(['completed', 'failed', 'interrupted'])

/** Runs the graph with LangGraph's own v3 stream and its transformers. How the run ends is left to `lifecycleEnd`. */
export async function* framesOf(
  graph: Graph,
  input: Parameters<Graph['stream']>[0],
  options: Omit<NonNullable<Parameters<Graph['stream']>[1]>, 'version' | 'streamMode' | 'encoding'>,
  { show }: Pick<Interop, 'show'>,
  tell: Tell,
): AsyncGenerator<Frame> {
  const asked = new Set<string>()
  const streamed = await graph.streamEvents(input, { ...options, version: 'v3' })
  const frames = streamed as unknown as AsyncIterable<ProtocolEvent>
  for await (const { method, params } of frames) {
    const { namespace, data } = params
    const place = { namespace, timestamp: params.timestamp, ...(params.node ? { node: params.node } : {}) }
    if (method === 'lifecycle' && namespace.length === 0 && ENDS.has((data as LifecycleData).event)) continue
    const list = method === 'updates' ? interruptsOf(data) : undefined
    if (list !== undefined) {
      // A subgraph's question comes again from each graph around it.
      const fresh = list.filter(({ id }) => id !== undefined && !asked.has(id))
      fresh.forEach(({ id }) => asked.add(id ?? ''))
      const requests = fresh.map(({ id, value }) =>
        toEvent('input', {
          namespace,
          timestamp: params.timestamp,
          data: { interrupt_id: id, payload: show(value) },
        }),
      )
      const shown = { ...(data as object), values: list.map((one) => ({ ...one, value: show(one.value) })) }
      yield {
        events: [toEvent('updates', { ...place, data: shown }), ...requests],
        interrupts: { namespace, list },
        tellsOfPause: true,
      }
      continue
    }
    const told = { ...place, data: dataOf(method, withShown(data, show)) }
    const events = [toEvent(channelOf(method, data), told, isOwn(method) ? encode : tell)]
    yield { events, interrupts: undefined, tellsOfPause: tellsOfPause(data) }
  }
}

function interruptsOf(data: unknown): { id?: string; value?: unknown }[] | undefined {
  const { node, values } = data as { node?: string; values?: unknown }
  return node === '__interrupt__' && Array.isArray(values) ? values : undefined
}

function withShown(data: unknown, show: Interop['show']): unknown {
  if (typeof data !== 'object' || data === null || !('__interrupt__' in data)) return data
  const list = data.__interrupt__
  if (!Array.isArray(list)) return data
  return {
    ...data,
    __interrupt__: (list as { value?: unknown }[]).map((one) => ({ ...one, value: show(one.value) })),
  }
}

function tellsOfPause(data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return false
  return (
    '__interrupt__' in data ||
    ('interrupts' in data && Array.isArray(data.interrupts) && data.interrupts.length > 0)
  )
}

/** What nodes and tools say themselves is in no state, where it could be fetched. */
function isOwn(method: string): boolean {
  return method === 'tools' || method.startsWith('custom')
}

/** A transformer's channel is `custom:name` already; what a node writes may name one. */
function channelOf(method: string, data: unknown): string {
  if (method !== 'custom') return method
  const { name } = data as { name?: unknown }
  return typeof name === 'string' ? `custom:${name}` : 'custom'
}

/** Clients read a custom channel's name in its data. */
function dataOf(method: string, data: unknown): unknown {
  return method.startsWith('custom:') ? { name: method.slice('custom:'.length), payload: data } : data
}
