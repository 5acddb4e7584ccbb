import { hash } from 'node:crypto'

/** A row of `checkpoint_chunks`: a dumped value (`body` is its JSON, or `bytes` are it), or a page of a list (`refs`). */
export interface Chunk {
  /** Names the rest: 128 bits of SHA-256, as a uuid. */
  readonly hash: string
  readonly body: string | null
  readonly bytes: Uint8Array | null
  readonly refs: readonly string[] | null
}

export function jsonChunk(json: string): Chunk {
  const body = shortened(json)
  return { hash: named(hash('sha256', `j${body}`)), body, bytes: null, refs: null }
}

export function bytesChunk(bytes: Uint8Array): Chunk {
  return {
    hash: named(hash('sha256', Buffer.concat([Buffer.from('b'), bytes]))),
    body: null,
    bytes,
    refs: null,
  }
}

/** `body`: the page's items where they are not all references (storage/chunks/pages.ts). */
export function pageChunk(body: string | null, refs: readonly string[]): Chunk {
  return { hash: named(hash('sha256', `p${body ?? ''}${refs.join()}`)), body, bytes: null, refs }
}

/** The form in which PostgreSQL gives a uuid back. */
function named(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
}

// A message of a few words is mostly its frame. No JSON begins with `@` or ends with `~1`.
const FRAME = '{"lc":1,"type":"constructor","id":["langchain_core","messages","'
const ARGUMENTS = '"],"kwargs":{'
const USUAL_ENDS = [
  ['~2', ',"tool_calls":[],"invalid_tool_calls":[],"additional_kwargs":{},"response_metadata":{}}}'],
  ['~1', ',"additional_kwargs":{},"response_metadata":{}}}'],
] as const

function shortened(json: string): string {
  if (!json.startsWith(FRAME)) return json
  const at = json.indexOf(ARGUMENTS, FRAME.length)
  const name = json.slice(FRAME.length, at)
  if (at === -1 || !/^\w+$/.test(name)) return json
  const fields = json.slice(at + ARGUMENTS.length)
  for (const [short, end] of USUAL_ENDS)
    if (fields.endsWith(end)) return `@${name}{${fields.slice(0, -end.length)}${short}`
  return `@${name}{${fields}`
}

/** What `jsonChunk` was given. */
export function jsonOf(body: string): string {
  if (!body.startsWith('@')) return body
  const at = body.indexOf('{')
  const fields = body.slice(at + 1)
  const [short, end] = USUAL_ENDS.find(([mark]) => fields.endsWith(mark)) ?? ['', '']
  return `${FRAME}${body.slice(1, at)}${ARGUMENTS}${fields.slice(0, fields.length - short.length)}${end}`
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Whose chunks a thread's are. Ids of threads are uuids here, and may be any text where another program made them. */
export function ownerOf(threadId: string): string {
  return UUID.test(threadId) ? threadId : named(hash('md5', threadId))
}

/** The same in SQL. */
export const OWNER = `case when thread_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    then thread_id::uuid else md5(thread_id)::uuid end`
