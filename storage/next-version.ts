import { randomBytes } from 'node:crypto'

/**
 * The stock saver counts 1, 2, 3, and keeps the first value stored under (channel, version): a fork, or a second
 * writer, then reads the other branch's values. A random tail makes each version its writer's own. Threads that were
 * begun with longer ones keep them, because the two do not sort together; so do those with numbers, which are not ours.
 */
export function nextVersion(current: string | undefined): number {
  const count = String((current === undefined ? 0 : Number.parseInt(current, 10)) + 1)
  const version = `${count.padStart(current?.indexOf('.') ?? DIGITS, '0')}.${tail()}`
  // LangGraph takes strings wherever its types say number (BaseCheckpointSaver is generic only inside).
  return version as unknown as number
}

const DIGITS = 8
// Five random bytes for each of many versions; asking the system for them one by one costs more than the rest of a version.
const TAIL_BYTES = 5
let random = Buffer.alloc(0)

function tail(): string {
  if (random.length === 0) random = randomBytes(TAIL_BYTES * 800)
  const number = random.readUIntBE(0, TAIL_BYTES)
  random = random.subarray(TAIL_BYTES)
  return number.toString(32).padStart(8, '0')
}

// Where a version is stored, the zeros in front are left out.
const OURS = /^0+([1-9]\d*\.[0-9a-v]{8})$/
const SHORT = /^[1-9]\d*\.[0-9a-v]{8}$/
const LENGTH = DIGITS + 9

export function shortVersion(version: string | number): string | number {
  const [, short] = typeof version === 'string' && version.length === LENGTH ? (OURS.exec(version) ?? []) : []
  return short ?? version
}

export function wholeVersion(version: string | number): string | number {
  return typeof version === 'string' && SHORT.test(version) ? version.padStart(LENGTH, '0') : version
}
