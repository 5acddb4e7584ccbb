import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import { nameUuid } from './ids.ts'
import type { Json } from './json.ts'

/** One tool call of one message. The ids are ours (uuid7), because providers repeat and omit theirs. */
export interface CallKey {
  threadId: string
  messageId: string
  callId: string
}

/** The bytes that are hashed, shown, stored and run: JSON as RFC 8785 writes it. */
export function canonicalJson(value: Json): string {
  const text = canonicalize(value)
  if (text === undefined) throw new TypeError('Only JSON values have a canonical form.')
  return text
}

/** False where a text has half a surrogate pair, which RFC 8785 refuses: it could be neither hashed nor approved. */
export function hasCanonicalForm(value: Json): boolean {
  try {
    canonicalJson(value)
    return true
  } catch {
    return false
  }
}

/** SHA-256, in hex, of the canonical arguments. */
export function argsHash(args: Json): string {
  return createHash('sha256').update(canonicalJson(args)).digest('hex')
}

/** What a grant is for: this call of this version of the tool, with these arguments. */
export function grantHash(key: CallKey, tool: { name: string; version: string }, args: Json): string {
  return argsHash([key.threadId, key.messageId, key.callId, tool.name, tool.version, args])
}

/**
 * The same call with the same arguments has the same approval, however often its node runs again; one that is asked for
 * in the place of an approval has its own.
 */
export function approvalId(key: CallKey, hash: string, replaces: string | null = null): string {
  const again = replaces === null ? [] : [replaces]
  return nameUuid('approval', key.threadId, key.messageId, key.callId, hash, ...again)
}

/** The approval that settles a doubt about the call; each execution that left one has its own. */
export function doubtId(key: CallKey, hash: string, owner: string): string {
  return nameUuid('doubt', key.threadId, key.messageId, key.callId, hash, owner)
}

/** What a receiver of an effect can use to recognise the call again. */
export function idempotencyKey(key: CallKey, hash: string): string {
  return nameUuid('effect', key.threadId, key.messageId, key.callId, hash)
}
