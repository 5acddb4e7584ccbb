import { createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { RuntimeError } from './errors.ts'
import type { Hold } from './hold.ts'
import { newId } from './ids.ts'
import { hasRole, type People, type Person } from './people.ts'
import type { Clock, Holds } from './ports.ts'
import { refusalOf } from './quorum.ts'
import { deriveKey } from './secret.ts'
import type { EndpointSecrets } from './signed-callback.ts'

export const LINK_DECISIONS = ['approve', 'reject'] as const
export type LinkDecision = (typeof LINK_DECISIONS)[number]

/** Seconds that a link works at most, where the hold does not end before. */
export const MAX_LINK_S = 86_400

/** One person's way to one word on one hold, without a key. */
export interface DecisionLink {
  /** Counts once. */
  link_id: string
  approval_id: string
  identity: string
  /** The only word that it says; null: any of them. */
  decision: LinkDecision | null
  /** Whose signature it wants beside; null: whoever has it speaks. */
  endpoint_id: string | null
  /** ISO 8601. */
  expires_at: string
}

export interface DecisionLinks {
  /** Keeps and records that there is such a link, and returns its token. Throws `hold_not_found` and `hold_decided`. */
  issue(link: DecisionLink, by: string): Promise<string>
  /** `undefined` for a token that was used, was altered, or is none of ours. It may be past its time. */
  read(token: string): Promise<DecisionLink | undefined>
  /** Whether that signed message is this link's. It is the first one's that it came by, for as long as it counts. */
  claim(message: string, linkId: string): Promise<boolean>
}

export function linkKey(secret: string): Buffer {
  return deriveKey(secret, 'decision links')
}

/** The link, and behind a dot its MAC, both base64url. */
export function writeToken(key: Buffer, link: DecisionLink): string {
  const told = Buffer.from(JSON.stringify(link)).toString('base64url')
  return `${told}.${macOf(key, told)}`
}

const Told = z.strictObject({
  link_id: z.uuid(),
  approval_id: z.uuid(),
  identity: z.string(),
  decision: z.enum(LINK_DECISIONS).nullable(),
  // Links from before endpoints could be named have none.
  endpoint_id: z.uuid().nullable().default(null),
  expires_at: z.iso.datetime(),
})

export function readToken(key: Buffer, token: string): DecisionLink | undefined {
  const [told = '', mac = '', ...more] = token.split('.')
  // As text: base64url has several spellings of the same bytes, and only the one that was issued is the token.
  const given = Buffer.from(mac)
  const expected = Buffer.from(macOf(key, told))
  if (more.length > 0 || given.length !== expected.length || !timingSafeEqual(given, expected))
    return undefined
  return Told.safeParse(JSON.parse(Buffer.from(told, 'base64url').toString())).data
}

function macOf(key: Buffer, told: string): string {
  return createHmac('sha256', key).update(told).digest('base64url')
}

/** Whatever is wrong with it: who tries tokens learns nothing of which there are. */
export function linkGone(): RuntimeError {
  return new RuntimeError(
    'link_gone',
    'This link does not work: it was used, has expired, or is not whole. Ask for a new one, or decide in the console.',
  )
}

/** A token that can still be used. Throws `link_gone`. */
export async function openLink(
  { links, clock }: { links: DecisionLinks; clock: Clock },
  token: string,
): Promise<DecisionLink> {
  const link = await links.read(token)
  if (link === undefined || Date.parse(link.expires_at) <= (await clock()).getTime()) throw linkGone()
  return link
}

export interface LinkRequest {
  approvalId: string
  /** Of whom it will be the word. */
  identity: string
  decision: LinkDecision | undefined
  endpointId: string | undefined
  expiresInSeconds: number | undefined
  /** Who asks for it. */
  by: string
}

interface LinkPorts {
  links: DecisionLinks
  holds: Pick<Holds, 'get'>
  people: Pick<People, 'find'>
  clock: Clock
  endpointSecrets: EndpointSecrets
}

/** A link for somebody who may decide the hold as it is now. Throws what says why there is none. */
export async function issueLink(
  { links, holds, people, clock, endpointSecrets }: LinkPorts,
  { approvalId, identity, decision, endpointId, expiresInSeconds, by }: LinkRequest,
): Promise<DecisionLink & { token: string }> {
  const hold = await holds.get(approvalId)
  if (hold === undefined) throw new RuntimeError('hold_not_found', `Approval ${approvalId} does not exist.`)
  const found = await people.find(identity)
  // Who belongs to another tenant is not there.
  if (found === undefined || found.disabled_at !== null || found.tenant !== hold.tenant_id)
    throw new RuntimeError(
      'invalid_input',
      `There is no ${identity} who has a key here. To make one: holdpoint keys create --person ${identity} --role approver`,
    )
  if (hold.requested_by.includes(by))
    throw new RuntimeError(
      'self_approval',
      `self_approval: ${by} started this run. Somebody else has to make the link.`,
    )
  const refusal = refusalFor(hold, { ...found, alone: false }, decision)
  if (refusal !== undefined) throw refusal
  await checkEndpoint(endpointSecrets, hold, endpointId)
  const link = {
    link_id: newId(),
    approval_id: approvalId,
    identity,
    decision: decision ?? null,
    endpoint_id: endpointId ?? null,
    expires_at: endOf(hold, await clock(), expiresInSeconds).toISOString(),
  }
  return { ...link, token: await links.issue(link, by) }
}

/** An endpoint of another tenant is not there. */
async function checkEndpoint(secretsOf: EndpointSecrets, hold: Hold, id: string | undefined): Promise<void> {
  if (id === undefined) return
  const endpoint = await secretsOf(id)
  if (endpoint !== undefined && [null, hold.tenant_id].includes(endpoint.tenant)) return
  throw new RuntimeError(
    'invalid_input',
    `There is no enabled endpoint ${id} here. holdpoint webhooks list shows them.`,
  )
}

/** Where no word is given, one of them is enough. */
function refusalFor(
  hold: Hold,
  person: Person,
  decision: LinkDecision | undefined,
): RuntimeError | undefined {
  if (!hasRole(person, 'approver'))
    return new RuntimeError(
      'hold_not_yours',
      `To decide needs the role approver, which ${person.identity} has not.`,
    )
  const words = decision === undefined ? LINK_DECISIONS : [decision]
  const refusals = words.map((type) => refusalOf(hold, person, type))
  return refusals.includes(undefined) ? undefined : refusals[0]
}

function endOf({ expires_at: at, needs }: Hold, now: Date, seconds = MAX_LINK_S): Date {
  const latest = now.getTime() + Math.min(seconds, MAX_LINK_S) * 1_000
  const ends = at === null || needs.on_expiry === 'wait' ? Infinity : Date.parse(at)
  return new Date(Math.min(latest, ends))
}
