import { hash } from 'node:crypto'
import { RuntimeError } from './errors.ts'
import { encode, encodeWith, type Json } from './json.ts'
import { LOWEST_LIMIT, type StateLimits } from './state-limits.ts'

/**
 * What is too large for every event, state and history that shows it: a text, or bytes. The graph has it as it is; clients get a short text in its place, and fetch it by that when they want it. A text, because what is
 * replaced mostly is one: a message's content, an image's data URL.
 */
export type Artifact = string | Uint8Array

const REFERENCE = /^artifact:sha256:([0-9a-f]{64}):\d{1,12}$/

/** At most as much comes back into what a client sends: a few bytes of it may name megabytes, many times. */
const MOST_BYTES = 64 * 1_048_576

/** Texts that are remembered with their references: each is a megabyte. */
const MOST_KNOWN = 16

/** Approvals show exactly what will be executed. */
const EXACT = new Set(['__interrupt__', 'interrupts'])

export type Tell = (value: unknown) => string

/** `encode` with references in the place of what is over the limit. One for each run: it remembers what it has hashed. */
export function createTell({ bytes: limit, over }: StateLimits): Tell {
  if (over === 'error') return encode
  const known = new Map<string, string>()
  let isLarge = false
  return (value) => {
    if (!isLarge) {
      const text = encode(value)
      // A character has at most three bytes, so nothing in it can be over the limit.
      if (text.length * 3 <= limit) return text
      // Looked at part by part from now on, and not written twice: what comes next is as large.
      isLarge = true
    }
    return shortened(value, limit, known)
  }
}

function shortened(value: unknown, limit: number, known: Map<string, string>): string {
  const exact = new Set<object>()
  return encodeWith(value, (holder, key, told) => {
    if (exact.has(holder) || EXACT.has(key)) {
      if (typeof told === 'object' && told !== null) exact.add(told)
      return told
    }
    return isOver(told, limit) ? referenceTo(told, known) : told
  })
}

function isOver(value: unknown, limit: number): value is Artifact {
  if (typeof value === 'string')
    return value.length > limit || (value.length * 3 > limit && Buffer.byteLength(value) > limit)
  return value instanceof Uint8Array && value.length > limit
}

/** The bytes that stand behind a reference. */
export function bytesOf(artifact: Artifact): Buffer {
  return typeof artifact === 'string'
    ? Buffer.from(artifact)
    : Buffer.from(artifact.buffer, artifact.byteOffset, artifact.byteLength)
}

function referenceTo(artifact: Artifact, known: Map<string, string>): string {
  const before = typeof artifact === 'string' ? known.get(artifact) : undefined
  if (before !== undefined) return before
  const bytes = bytesOf(artifact)
  const reference = `artifact:sha256:${hash('sha256', bytes)}:${bytes.length}`
  if (typeof artifact !== 'string') return reference
  if (known.size >= MOST_KNOWN) known.clear()
  known.set(artifact, reference)
  return reference
}

/** Looks in a stored value, as JSON has it, for what has that hash. */
export function artifactIn(stored: unknown, sha256: string): Artifact | undefined {
  if (isOver(stored, LOWEST_LIMIT)) return hash('sha256', bytesOf(stored)) === sha256 ? stored : undefined
  if (typeof stored !== 'object' || stored === null) return undefined
  const bytes = bytesIn(stored)
  if (bytes !== undefined) return hash('sha256', bytes) === sha256 ? bytes : undefined
  for (const part of Object.values(stored)) {
    const found = artifactIn(part, sha256)
    if (found !== undefined) return found
  }
  return undefined
}

/** How the serializer writes a Uint8Array. */
function bytesIn(stored: object): Uint8Array | undefined {
  const { lc, id, args } = stored as { lc?: unknown; id?: unknown; args?: unknown }
  if (lc !== 2 || !Array.isArray(id) || id[0] !== 'Uint8Array' || !Array.isArray(args)) return undefined
  return Array.isArray(args[0]) ? Uint8Array.from(args[0] as number[]) : undefined
}

export type FindArtifact = (sha256: string) => Promise<Artifact | undefined>

/**
 * What a client sends, with what it read as a reference as it was: a state that is read, changed and sent back keeps its
 * content. Throws `invalid_input` for a reference that nothing in the thread is behind.
 */
export async function restored(given: Json, find: FindArtifact): Promise<Json> {
  const found = new Map<string, string>()
  let bytes = 0
  for (const reference of referencesIn(given)) {
    const artifact = found.get(reference) ?? (await find(REFERENCE.exec(reference)?.[1] ?? ''))
    if (artifact === undefined) throw new RuntimeError('invalid_input', missing(reference))
    if (artifact instanceof Uint8Array)
      throw new RuntimeError(
        'invalid_input',
        `${reference} stands for bytes, which JSON does not carry. Leave its field out.`,
      )
    found.set(reference, artifact)
    bytes += Buffer.byteLength(artifact)
    if (bytes > MOST_BYTES)
      throw new RuntimeError(
        'invalid_input',
        `The references to artifacts in it stand for more than ${MOST_BYTES} bytes. Leave out what does not change.`,
      )
  }
  return found.size === 0 ? given : filled(given, found)
}

/** For what is kept, and sent later to a thread that nobody can know by now. */
export function refuseReferences(given: Json | undefined): void {
  const [reference] = referencesIn(given ?? null)
  if (reference !== undefined) throw new RuntimeError('invalid_input', missing(reference))
}

function missing(reference: string): string {
  return `${reference} names no artifact of the thread that this is for. Send the content itself, or leave its field out.`
}

function* referencesIn(value: Json): Generator<string> {
  if (typeof value === 'string') {
    if (REFERENCE.test(value)) yield value
  } else if (typeof value === 'object' && value !== null)
    for (const part of Object.values(value)) yield* referencesIn(part)
}

function filled(value: Json, found: ReadonlyMap<string, string>): Json {
  if (typeof value === 'string') return found.get(value) ?? value
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((part) => filled(part, found))
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, filled(part, found)]))
}
