import { createHash, createHmac } from 'node:crypto'
import type { Allowed } from './allowed.ts'
import { canonicalJson } from './call.ts'
import type { Json } from './json.ts'
import { deriveKey } from './secret.ts'

export const AUDIT_KINDS = [
  /** A call waits for a person. */
  'hold.requested',
  'hold.decided',
  /** Somebody is for it, or is so no longer; their words are not enough. */
  'hold.voted',
  'hold.vote_withdrawn',
  /** Other arguments, for others to release. */
  'hold.edited',
  'hold.commented',
  /** Somebody may decide by a link. Its token is in no record. */
  'hold.link_issued',
  /** Nobody decided in time: others may from now on. */
  'hold.escalated',
  'hold.expired',
  /** By whatever took its pause away: `data.cause`. */
  'hold.cancelled',
  /** The run that its decision started was dropped before it began, or rolled back: it is asked for again. */
  'hold.reopened',
  /** A call may run, once: by the word that released it. */
  'grant.committed',
  /** By the execution that begins in the same moment. */
  'grant.consumed',
  /** Nobody used it, and nobody may any more: `data.cause`. */
  'grant.revoked',
  /** Written before the tool is called. */
  'effect.begun',
  /** An effect in doubt that certainly did not happen is another lease's now. */
  'effect.retaken',
  'effect.ended',
  /** A person said, or let it expire, what became of an effect in doubt. */
  'effect.settled',
  /** A call that its agent may not make, or its tool refused. */
  'call.refused',
  /** Another policy is in force, on a server or more. */
  'policy.changed',
  'key.created',
  'key.revoked',
  'person.roles',
  'person.disabled',
  /** Who is told of approvals and runs. Neither its secret nor the path of its URL is in the record. */
  'endpoint.created',
  'endpoint.rotated',
  'endpoint.disabled',
  'endpoint.enabled',
  'endpoint.deleted',
  /** A chain got its first entry: so that one that is deleted as a whole is missed. */
  'chain.begun',
] as const
export type AuditKind = (typeof AUDIT_KINDS)[number]

export type ActorType = 'person' | 'agent' | 'system'

/** What is recorded of one thing that happened. No text of prompts, arguments, results or reasons: their SHA-256. */
export interface NewEntry {
  kind: AuditKind
  actor: string
  actor_type: ActorType
  /** Unset: of administration. */
  thread_id?: string
  run_id?: string
  assistant_id?: string
  approval_id?: string
  message_id?: string
  call_id?: string
  tool?: string
  data: Record<string, Json>
  oversight?: Oversight
}

/** What the logging of human oversight asks for (requirements CP-01), once for each hold's request and end. */
export interface Oversight {
  decision_id: string
  /** The assistant that asked. */
  system_id: string
  /** As the provider named it; null where the message does not say. */
  model_version: string | null
  /** SHA-256 of the arguments that were asked for, as RFC 8785 writes them. */
  input_sha256: string
  /** SHA-256 of the arguments that may run now; null where none may. */
  output_sha256: string | null
  decision: string
  /** Whether a person's word ended it. */
  human_review: boolean
  reviewed_by: string | null
  /** ISO 8601, by the database's clock. */
  timestamp: string
  risk_tier: string
}

/** An entry as it is sealed: with its place, and the MAC of the one before. */
export interface SealedEntry extends Omit<NewEntry, 'oversight'> {
  chain: string
  /** From 1. */
  seq: number
  /** ISO 8601, UTC, by the database's clock. */
  at: string
  oversight?: Oversight
  previous: string
}

/** As clients see it. */
export type AuditEntry = SealedEntry & { mac: string }

export interface AuditHead {
  chain: string
  seq: number
  mac: string
  signature: string
}

export interface AuditFilter {
  thread_id?: string
  kind?: AuditKind
  actor?: string
  tool?: string
  /** ISO 8601, UTC with milliseconds: from then on, and before then. */
  since?: string
  until?: string
  order: 'asc' | 'desc'
  limit: number
  /** The entries behind this one. */
  after?: AuditPlace
  /** Only entries of threads that there are, and that whoever asks may see. Unset: all. */
  allowed?: Allowed
  /** With `allowed`, also what was changed of a tenant's keys and people. */
  administrationOf?: string
}

export type AuditPlace = Pick<AuditEntry, 'at' | 'chain' | 'seq'>

/** The record as it is read. It is written in the transactions of what it tells. */
export interface Audit {
  search(filter: AuditFilter): Promise<AuditEntry[]>
  /** The heads that changed after that moment, and the moment of asking, by the database's clock. */
  heads(since: Date | undefined): Promise<{ heads: AuditHead[]; asked: Date }>
}

export const ADMINISTRATION = 'administration'
/** Each notes the begin of a sixteenth of the threads' chains: threads that begin at once seldom wait for each other. */
export const REGISTRIES = Array.from('0123456789abcdef', (digit) => `threads:${digit}`)
/** What stands before a chain's first entry. */
export const GENESIS = '0'.repeat(64)

export function threadChain(threadId: string): string {
  return `thread:${threadId.toLowerCase()}`
}

export function registryOf(chain: string): string {
  return `threads:${chain.at(-1)}`
}

export interface AuditKeys {
  entries: Buffer
  heads: Buffer
}

export function auditKeys(secret: string): AuditKeys {
  return { entries: deriveKey(secret, 'audit entries'), heads: deriveKey(secret, 'audit heads') }
}

/** The MAC of an entry: of its canonical JSON, which has its chain, its number and the MAC before it. */
export function macOf(keys: AuditKeys, entry: SealedEntry): string {
  return createHmac('sha256', keys.entries)
    .update(canonicalJson(entry as unknown as Json))
    .digest('hex')
}

export function signatureOf(keys: AuditKeys, { chain, seq, mac }: Omit<AuditHead, 'signature'>): string {
  return createHmac('sha256', keys.heads).update(canonicalJson({ chain, seq, mac })).digest('hex')
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Gives the entry its place behind `head`. */
export function seal(
  keys: AuditKeys,
  { chain, seq, mac }: Omit<AuditHead, 'signature'>,
  entry: NewEntry,
  at: string,
): AuditEntry {
  const { oversight, ...rest } = entry
  const sealed: SealedEntry = {
    ...(storable(rest) as Omit<NewEntry, 'oversight'>),
    ...(oversight === undefined ? {} : { oversight: storable({ ...oversight, timestamp: at }) as never }),
    chain,
    seq: seq + 1,
    at,
    previous: mac,
  }
  return { ...sealed, mac: macOf(keys, sealed) }
}

/** Half surrogate pairs have no canonical form, and a NUL could not be searched for: they become U+FFFD. */
function storable(value: object): Record<string, unknown> {
  const text = JSON.stringify(value, (_key, one: unknown) =>
    typeof one === 'string' ? one.toWellFormed().replaceAll('\0', '\ufffd') : one,
  )
  return JSON.parse(text) as Record<string, unknown>
}
