import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

const KEY = /^hp_([0-9a-f]{16})_([\w-]{43})$/

/** A key in its two parts: by one it is found, by the other it is known. */
export interface ApiKey {
  id: string
  secret: string
}

export function newApiKey(): ApiKey {
  return { id: randomBytes(8).toString('hex'), secret: randomBytes(32).toString('base64url') }
}

/** As it is sent. */
export function textOf({ id, secret }: ApiKey): string {
  return `hp_${id}_${secret}`
}

/** `undefined` for what is no key of ours. */
export function readApiKey(text: string): ApiKey | undefined {
  const [, id, secret] = KEY.exec(text) ?? []
  return id === undefined || secret === undefined ? undefined : { id, secret }
}

export function secretHash({ secret }: ApiKey): string {
  return createHash('sha256').update(secret).digest('hex')
}

/** In a time that says nothing of where they differ. Both are hex of the same length. */
export function isSameHash(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other))
}
