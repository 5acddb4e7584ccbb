import { isDeltaSnapshot, type SerializerProtocol } from '@langchain/langgraph-checkpoint'
import { bytesChunk, type Chunk, jsonChunk } from './chunk.ts'
import { type Item, inlineItem, referenceTo, rootOf, type Tree, treeOf } from './pages.ts'
import { isUnchanged, type Trace, traceOf } from './unchanged.ts'

/**
 * A value as a checkpoint has it: JSON, and the chunks that it needs in the order in which the JSON names them. `0` is no
 * value, `1` a chunk, `[value]` a small one, `{"l":root}` a list (storage/chunks/pages.ts), `{"d":root}` a snapshot of
 * a `DeltaChannel`.
 */
export interface Encoded {
  readonly text: string
  readonly refs: readonly string[]
}

export const NOTHING: Encoded = { text: '0', refs: [] }

/** What stands where it is used. A reference is 16 bytes there, and a chunk's row 150 beside what is in it. */
const SMALL = 64
/** A list of small elements is one chunk until it has as many characters. */
const WHOLE = 2_048

/** What is known of a thread's chunks by whoever writes there. All of it is in the database. */
export interface Memory {
  readonly seen: WeakMap<object, Seen>
  /** By name of the list, the one used last at the end. */
  readonly trees: Map<string, Tree>
  readonly stored: Set<string>
}

interface Seen {
  readonly trace: Trace
  readonly item: Item
  /** Until it is stored. */
  chunk: Chunk | undefined
}

const MOST_TREES = 64
const MOST_STORED = 50_000

export function createMemory(): Memory {
  return { seen: new WeakMap(), trees: new Map(), stored: new Set() }
}

/** One statement's chunks, each once. */
export class Chunks {
  readonly added = new Map<string, Chunk>()
  readonly #learned: (() => void)[] = []

  /** `whenStored` is for what is true only once the statement is committed. */
  onStored(whenStored: () => void): void {
    this.#learned.push(whenStored)
  }

  stored(): void {
    for (const learn of this.#learned) learn()
  }
}

export interface Encoder {
  readonly serde: SerializerProtocol
  readonly memory: Memory
  /** Throws for a value or an element of so many bytes that is too large for the channel. */
  readonly check: ((channel: string, bytes: number) => void) | undefined
}

/** Whose value it is, and by what name its list is remembered. */
export interface Whose {
  channel: string
  list?: string
}

/** All is dumped before this returns its promise: what the graph changes meanwhile is not in it. */
export async function encode(
  encoder: Encoder,
  value: unknown,
  chunks: Chunks,
  { channel, list: name }: Whose,
): Promise<Encoded> {
  if (isDeltaSnapshot(value) && isList(value.value)) {
    const items = itemsOf(encoder, value.value, chunks, channel)
    const { text, refs } = rootOf(await treeFor(encoder, items, chunks, name))
    return { text: `{"d":${text}}`, refs }
  }
  if (!isList(value)) return whole(await itemOf(encoder, value, chunks, channel))
  const items = await itemsOf(encoder, value, chunks, channel)
  const small = smallList(items)
  // No element of it is too large, whatever they are together.
  if (small !== undefined) return whole(jsonItem({ ...encoder, check: undefined }, small, chunks, channel))
  const { text, refs } = rootOf(await treeFor(encoder, items, chunks, name))
  return { text: `{"l":${text}}`, refs }
}

function whole({ inline, hash }: Item): Encoded {
  return inline === undefined ? { text: '1', refs: [hash] } : { text: `[${inline}]`, refs: [] }
}

function isList(value: unknown): value is unknown[] {
  return Array.isArray(value) && Object.getPrototypeOf(value) === Array.prototype && !('toJSON' in value)
}

function smallList(items: readonly Item[]): string | undefined {
  let length = 0
  for (const { inline } of items) {
    if (inline === undefined || length > WHOLE) return undefined
    length += inline.length + 1
  }
  return length > WHOLE ? undefined : `[${items.map(({ inline }) => inline).join()}]`
}

async function itemsOf(
  encoder: Encoder,
  list: readonly unknown[],
  chunks: Chunks,
  channel: string,
): Promise<readonly Item[]> {
  const items = Array.from(list, (element) => itemOf(encoder, element, chunks, channel))
  return items.some((item) => item instanceof Promise)
    ? await Promise.all(items.map(async (item) => await item))
    : (items as Item[])
}

async function treeFor(
  { memory }: Encoder,
  items: readonly Item[] | Promise<readonly Item[]>,
  chunks: Chunks,
  name: string | undefined,
): Promise<Tree> {
  const before = name === undefined ? undefined : memory.trees.get(name)
  const tree = treeOf(await items, before, (page) => addChunk(memory, page, chunks))
  if (name !== undefined) {
    chunks.onStored(() => {
      memory.trees.delete(name)
      memory.trees.set(name, tree)
      for (const oldest of memory.trees.keys()) {
        if (memory.trees.size <= MOST_TREES) break
        memory.trees.delete(oldest)
      }
    })
  }
  return tree
}

function itemOf(encoder: Encoder, element: unknown, chunks: Chunks, channel: string): Item | Promise<Item> {
  if (element instanceof Uint8Array) return bytesItem(encoder, element, chunks, channel)
  if (typeof element === 'object' && element !== null) return objectItem(encoder, element, chunks, channel)
  // What the serializer would make of it, too.
  if (typeof element === 'string' || typeof element === 'boolean' || element === null)
    return jsonItem(encoder, JSON.stringify(element), chunks, channel)
  return dumped(encoder, element, channel).then((json) => jsonItem(encoder, json, chunks, channel))
}

function objectItem(
  encoder: Encoder,
  element: object,
  chunks: Chunks,
  channel: string,
): Item | Promise<Item> {
  const { memory } = encoder
  const seen = memory.seen.get(element)
  if (seen !== undefined && isUnchanged(element, seen.trace)) return seenItem(seen, chunks)
  const trace = traceOf(element)
  return dumped(encoder, element, channel).then((json) => {
    const small = json.length <= SMALL
    const chunk = small ? undefined : jsonChunk(json)
    const item = chunk === undefined ? inlineItem(json) : referenceTo(chunk.hash)
    if (trace === undefined) {
      if (chunk !== undefined) addChunk(memory, chunk, chunks)
      return item
    }
    const now = { trace, item, chunk }
    memory.seen.set(element, now)
    return seenItem(now, chunks)
  })
}

function seenItem(seen: Seen, chunks: Chunks): Item {
  const { chunk } = seen
  if (chunk !== undefined) {
    chunks.added.set(chunk.hash, chunk)
    chunks.onStored(() => {
      seen.chunk = undefined
    })
  }
  return seen.item
}

async function dumped({ serde, check }: Encoder, value: unknown, channel: string): Promise<string> {
  const [type, bytes] = await serde.dumpsTyped(value)
  if (type !== 'json') throw new Error(`The serializer made ${type} of a value that is no bytes.`)
  check?.(channel, bytes.length)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

function jsonItem({ check, memory }: Encoder, json: string, chunks: Chunks, channel: string): Item {
  if (json.length <= SMALL) return inlineItem(json)
  check?.(channel, Buffer.byteLength(json))
  const chunk = jsonChunk(json)
  addChunk(memory, chunk, chunks)
  return referenceTo(chunk.hash)
}

function bytesItem({ check, memory }: Encoder, bytes: Uint8Array, chunks: Chunks, channel: string): Item {
  check?.(channel, bytes.length)
  const chunk = bytesChunk(Uint8Array.from(bytes))
  addChunk(memory, chunk, chunks)
  return referenceTo(chunk.hash)
}

export function addChunk({ stored }: Memory, chunk: Chunk, chunks: Chunks): void {
  if (stored.has(chunk.hash) || chunks.added.has(chunk.hash)) return
  chunks.added.set(chunk.hash, chunk)
  chunks.onStored(() => remember(stored, chunk.hash))
}

/** Forgotten all at once where they are too many: they are sent again, and found to be there. */
export function remember(stored: Set<string>, hash: string): void {
  if (stored.size >= MOST_STORED) stored.clear()
  stored.add(hash)
}
