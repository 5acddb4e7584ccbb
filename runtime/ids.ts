import { createHash } from 'node:crypto'
import { v5, v7 } from 'uuid'

/** A namespace of our own, so that our name-based ids meet nobody else's. */
const NAMESPACE = '6f0c5d4e-8f0b-5c39-9f7e-2f6a8f1f4c11'

/** A new id that sorts by time of creation (RFC 9562, version 7). */
export function newId(): string {
  return v7()
}

/** An id of the run's time, the same for the same parts of the same run; in form it is like `newId`. */
export function idWithin(runId: string, ...parts: string[]): string {
  const random = createHash('sha256')
    .update(JSON.stringify([runId, ...parts]))
    .digest()
    .subarray(0, 16)
  return v7({ random, msecs: Number.parseInt(runId.replaceAll('-', '').slice(0, 12), 16) })
}

/** The same id for the same parts, for ever (RFC 9562, version 5). */
export function nameUuid(...parts: string[]): string {
  return v5(JSON.stringify(parts), NAMESPACE)
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export function isUuid(text: string): boolean {
  return UUID.test(text)
}

const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i

export function isUuid7(text: string | undefined): boolean {
  return text !== undefined && UUID7.test(text)
}
