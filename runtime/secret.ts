import { createHmac, hkdfSync } from 'node:crypto'

/** A key of its own for each purpose, from HOLDPOINT_SECRET: HKDF with SHA-256 (RFC 5869), 32 bytes. */
export function deriveKey(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, 'holdpoint', purpose, 32))
}

/** What a database keeps to tell whether a secret is the one that it was begun with. */
export function checkValue(secret: string): string {
  return createHmac('sha256', deriveKey(secret, 'check')).update('holdpoint').digest('hex')
}
