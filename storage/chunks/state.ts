import type { Checkpoint } from '@langchain/langgraph-checkpoint'
import { shortVersion, wholeVersion } from '../next-version.ts'
import { type Chunk, jsonChunk, jsonOf } from './chunk.ts'
import { type Decoder, DanglingReference, decode, type Written } from './decode.ts'
import { type Encoded, NOTHING } from './encode.ts'

/**
 * A checkpoint as `checkpoints.state` has it. The names of channels and nodes are its layout, which is a chunk from the
 * second checkpoint on that has the same; versions are written once each, and elsewhere by number.
 */
type State = [
  layout: Layout | 1,
  ts: string,
  versions: (string | number)[],
  /** Of each channel, -1 where it has none; then of what each node has seen. */
  numbers: number[],
  values: Written[],
]

interface Layout {
  channels: string[]
  /** Of each node the channels that it has seen, by their place in `channels`. */
  seen: [node: string, channels: number[]][]
  /** Whatever else a checkpoint has, which its steps have in common. */
  rest: Record<string, unknown>
}

type Version = string | number
type Versions = Record<string, Version>

/** The values of a checkpoint that is stored, for the next one. */
export interface Before {
  readonly layout: string
  readonly versions: Versions
  readonly values: ReadonlyMap<string, Encoded>
}

export interface WrittenState {
  text: string
  refs: string[]
  /** The layout, where it is one that is not known to be stored. */
  chunk: Chunk | undefined
  now: Before
}

export function writeState(
  checkpoint: Checkpoint,
  values: ReadonlyMap<string, Encoded>,
  before: Before | undefined,
): WrittenState {
  const { id: _, ts, channel_values: _values, channel_versions, versions_seen, ...rest } = checkpoint
  const channels = Object.keys(channel_versions)
  const place = new Map(channels.map((channel, index) => [channel, index]))
  const placeOf = (channel: string) =>
    place.get(channel) ?? place.set(channel, channels.push(channel) - 1).size - 1
  const versions: Version[] = []
  const number = new Map<Version, number>()
  const numberOf = (version: Version) => {
    if (!number.has(version)) number.set(version, versions.push(version) - 1)
    return number.get(version) ?? -1
  }
  const seenNumbers: number[] = []
  const seen = Object.entries(versions_seen as Record<string, Versions>).map(
    ([node, of]): Layout['seen'][number] => [
      node,
      Object.entries(of).map(([channel, version]) => {
        seenNumbers.push(numberOf(version))
        return placeOf(channel)
      }),
    ],
  )
  const own = channel_versions as Versions
  const numbers = channels.map((channel) => (own[channel] === undefined ? -1 : numberOf(own[channel])))
  const layout = JSON.stringify({ channels, seen, rest } satisfies Layout)
  const chunk = layout === before?.layout ? jsonChunk(layout) : undefined
  const written = channels.map((channel) => values.get(channel) ?? NOTHING)
  return {
    text: `[${chunk === undefined ? layout : 1},${JSON.stringify(ts)},${JSON.stringify(versions.map(shortVersion))},${JSON.stringify([...numbers, ...seenNumbers])},[${written.map(({ text }) => text).join()}]]`,
    refs: [...(chunk === undefined ? [] : [chunk.hash]), ...written.flatMap(({ refs }) => refs)],
    chunk,
    now: { layout, versions: own, values },
  }
}

export interface ReadState {
  checkpoint: Checkpoint
  before: Before
}

export async function readState(
  decoder: Decoder,
  id: string,
  text: string,
  refs: readonly string[],
): Promise<ReadState> {
  const [given, ts, short, numbers, values] = JSON.parse(text) as State
  const versions = short.map(wholeVersion)
  let used = given === 1 ? 1 : 0
  const layoutText = given === 1 ? layoutIn(decoder, refs[0]) : JSON.stringify(given)
  const { channels, seen, rest } = given === 1 ? (JSON.parse(layoutText) as Layout) : given
  const channelVersions: Versions = {}
  const encoded = new Map<string, Encoded>()
  const read: [string, unknown][] = []
  for (const [index, channel] of channels.entries()) {
    const version = versions[numbers[index] ?? -1]
    if (version !== undefined) channelVersions[channel] = version
    const written = values[index] ?? 0
    if (written === 0) continue
    const { value, used: own } = decode(decoder, written, refs.slice(used))
    encoded.set(channel, { text: JSON.stringify(written), refs: refs.slice(used, used + own) })
    read.push([channel, value instanceof Promise ? await value : value])
    used += own
  }
  let at = channels.length
  const versionsSeen = Object.fromEntries(
    seen.map(([node, of]) => [
      node,
      Object.fromEntries(of.map((channel) => [channels[channel] ?? '', versions[numbers[at++] ?? -1] ?? 0])),
    ]),
  )
  return {
    checkpoint: {
      ...rest,
      id,
      ts,
      channel_values: Object.fromEntries(read),
      channel_versions: channelVersions,
      versions_seen: versionsSeen,
    } as unknown as Checkpoint,
    before: { layout: layoutText, versions: channelVersions, values: encoded },
  }
}

function layoutIn({ chunks }: Decoder, hash: string | undefined): string {
  const body = chunks.get(hash ?? '')?.body
  if (body == null) throw new DanglingReference(String(hash))
  return jsonOf(body)
}

/** Which references of a state are of which channel. A channel whose value is in the state itself has none. */
export function partsOf(
  text: string,
  refs: readonly string[],
  layoutAt: (hash: string) => string | undefined,
): { layout: string[]; channels: [channel: string, refs: string[]][] } {
  const [given, , , , values] = JSON.parse(text) as State
  let used = given === 1 ? 1 : 0
  const layout = given === 1 ? (JSON.parse(layoutAt(refs[0] ?? '') ?? '{"channels":[]}') as Layout) : given
  const channels = layout.channels.map((channel, index): [string, string[]] => {
    const count = countOf(values[index] ?? 0)
    used += count
    return [channel, refs.slice(used - count, used)]
  })
  return { layout: refs.slice(0, given === 1 ? 1 : 0), channels }
}

function countOf(written: Written): number {
  if (written === 0 || written === 1) return written
  if (Array.isArray(written)) return 0
  const items = ('l' in written ? written.l : written.d).flat()
  return items.reduce<number>((sum, item) => sum + (typeof item === 'number' ? item : 0), 0)
}
