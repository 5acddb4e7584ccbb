import { timingSafeEqual } from 'node:crypto'
import { sha256 } from './audit.ts'
import type { DecisionLinks } from './decision-link.ts'
import { RuntimeError } from './errors.ts'
import type { Clock } from './ports.ts'
import { signatureOf } from './webhook-secret.ts'

/** Older, or newer, it is a replay or another clock's: as Standard Webhooks' libraries do. */
const TOLERANCE_S = 300
/** Of a rotated secret and the one before, with room for versions that we do not know. */
const MOST_SIGNATURES = 10

/** The secrets that sign for an endpoint, the newest first. `undefined`: there is no such endpoint, or it is disabled. */
export type EndpointSecrets = (
  endpointId: string,
) => Promise<{ tenant: string | null; secrets: string[] } | undefined>

interface SignedPorts {
  endpointSecrets: EndpointSecrets
  clock: Clock
  links: Pick<DecisionLinks, 'claim'>
}

/** What stands in the headers of Standard Webhooks, and the body as it came. */
export interface SignedCall {
  id: string | undefined
  timestamp: string | undefined
  signature: string | undefined
  body: string
}

/**
 * Throws `unsigned` where the endpoint has not signed that, in these minutes, or has said it by another link: the address
 * is not among what is signed, and whoever knows two could have said it twice.
 */
export async function checkSigned(
  { endpointSecrets, clock, links }: SignedPorts,
  { endpointId, linkId }: { endpointId: string; linkId: string },
  { id, timestamp, signature, body }: SignedCall,
): Promise<void> {
  const endpoint = await endpointSecrets(endpointId)
  const second = Number(timestamp)
  const age = Math.abs((await clock()).getTime() / 1_000 - second)
  if (endpoint === undefined || !id || !signature || !Number.isSafeInteger(second) || !(age <= TOLERANCE_S))
    throw unsigned()
  const expected = signatureOf(endpoint.secrets, { id, timestamp: second, body }).split(' ')
  const given = signature.split(' ').slice(0, MOST_SIGNATURES)
  if (!given.some((one) => expected.some((other) => isSame(one, other)))) throw unsigned()
  if (!(await links.claim(sha256(`${endpointId} ${id}`), linkId))) throw unsigned()
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** Whatever is wrong with it. */
function unsigned(): RuntimeError {
  return new RuntimeError(
    'unsigned',
    `This address takes what its endpoint has signed, as Standard Webhooks say, in the last ${TOLERANCE_S / 60} minutes, for this address alone. Nothing was changed.`,
  )
}
