import { DeltaSnapshot, type SerializerProtocol } from '@langchain/langgraph-checkpoint'
import { type Chunk, jsonOf } from './chunk.ts'
import { type Memory, remember } from './encode.ts'
import { inlineItem, type Item, referenceTo } from './pages.ts'
import { revive, reviveParsed } from './revive.ts'
import { traceOf } from './unchanged.ts'

/** What `encode` wrote, as it is read in a row's JSON. */
export type Written = 0 | 1 | [unknown] | { l: Root } | { d: Root }
type Root = (number | unknown[])[][]

export interface Decoder {
  readonly serde: SerializerProtocol
  /** All that the row refers to, and what that refers to. */
  readonly chunks: ReadonlyMap<string, Chunk>
  /** Who will write there learns what is stored. */
  readonly memory?: Memory | undefined
}

export class DanglingReference extends Error {
  constructor(hash: string) {
    super(`The checkpoint needs chunk ${hash}, which is not there. Run "holdpoint storage verify".`)
  }
}

export function isNothing(written: Written): written is 0 {
  return written === 0
}

/** `refs` begins with those of this value. Returns what the value is, or will be, and how many of them were its own. */
export function decode(
  decoder: Decoder,
  written: Written,
  refs: readonly string[],
): { value: unknown; used: number } {
  if (written === 0) return { value: undefined, used: 0 }
  if (written === 1) return { value: chunkValue(decoder, refs[0]), used: 1 }
  if (Array.isArray(written)) return { value: reviveParsed(decoder.serde, written[0]), used: 0 }
  const root = 'l' in written ? written.l : written.d
  const elements: unknown[] = []
  const used = readLevels(decoder, root, refs, elements)
  if ('l' in written) return { value: settled(elements), used }
  const list = settled(elements)
  return {
    value: list instanceof Promise ? list.then((all) => new DeltaSnapshot(all)) : new DeltaSnapshot(list),
    used,
  }
}

function settled(elements: unknown[]): unknown[] | Promise<unknown[]> {
  return elements.some((one) => one instanceof Promise) ? Promise.all(elements) : elements
}

function readLevels(decoder: Decoder, root: Root, refs: readonly string[], elements: unknown[]): number {
  let used = 0
  for (const [index, level] of root.entries())
    used += readItems(decoder, level, refs, used, root.length - 1 - index, elements)
  return used
}

/** `height`: how many levels of pages the references are above the elements. */
function readItems(
  decoder: Decoder,
  items: (number | unknown[])[],
  refs: readonly string[],
  from: number,
  height: number,
  elements: unknown[],
): number {
  let used = 0
  for (const item of items) {
    if (typeof item !== 'number') {
      for (const small of item)
        elements.push(element(decoder, reviveParsed(decoder.serde, small), () => inline(small)))
      continue
    }
    for (let i = 0; i < item; i++) readReference(decoder, refs[from + used + i], height, elements)
    used += item
  }
  return used
}

function inline(small: unknown): Item {
  return inlineItem(JSON.stringify(small))
}

function readReference(
  decoder: Decoder,
  hash: string | undefined,
  height: number,
  elements: unknown[],
): void {
  if (height === 0) {
    elements.push(chunkValue(decoder, hash))
    return
  }
  const { body, refs } = chunkOf(decoder, hash)
  if (refs === null) throw new Error(`Chunk ${hash} is no page.`)
  if (decoder.memory !== undefined) remember(decoder.memory.stored, hash ?? '')
  const items = body === null ? [refs.length] : (JSON.parse(body) as (number | unknown[])[])
  readItems(decoder, items, refs, 0, height - 1, elements)
}

function chunkOf({ chunks }: Decoder, hash: string | undefined): Chunk {
  const chunk = chunks.get(hash ?? '')
  if (chunk === undefined) throw new DanglingReference(String(hash))
  return chunk
}

function chunkValue(decoder: Decoder, hash: string | undefined): unknown {
  const { body, bytes } = chunkOf(decoder, hash)
  if (bytes !== null) return Uint8Array.from(bytes)
  return element(decoder, revive(decoder.serde, jsonOf(body ?? 'null')), () => referenceTo(hash ?? ''))
}

function element({ memory }: Decoder, value: unknown, item: () => Item): unknown {
  if (memory === undefined) return value
  return value instanceof Promise
    ? value.then((loaded: unknown) => learned(memory, loaded, item))
    : learned(memory, value, item)
}

function learned(memory: Memory, value: unknown, item: () => Item): unknown {
  if (typeof value !== 'object' || value === null) return value
  const trace = traceOf(value)
  if (trace !== undefined) memory.seen.set(value, { trace, item: item(), chunk: undefined })
  return value
}
