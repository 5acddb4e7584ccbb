/** A stream of numbers that a seed determines. */
export interface Random {
  /** From 0 up to, not including, 1. */
  next(): number
  /** From `min` to `max`, both included. */
  int(min: number, max: number): number
  chance(probability: number): boolean
  pick<T>(list: readonly T[]): T
  shuffle<T>(list: readonly T[]): T[]
  /** A stream of its own for each name: what one part of the driver draws does not move another's. */
  fork(name: string): Random
}

/** Small Fast Counter of 32 bits (Chris Doty-Humphrey, PractRand): public domain, 128 bits of state. */
export function createRandom(seed: string): Random {
  let [a, b, c, count] = [hash(`${seed}/a`), hash(`${seed}/b`), hash(`${seed}/c`), 1]
  const next = () => {
    const sum = (a + b + count) | 0
    count = (count + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    return (sum >>> 0) / 2 ** 32
  }
  for (let warm = 0; warm < 16; warm++) next()
  const int = (min: number, max: number) => min + Math.floor(next() * (max - min + 1))
  return {
    next,
    int,
    chance: (probability) => next() < probability,
    pick<T>(list: readonly T[]): T {
      const found = list[int(0, list.length - 1)]
      if (found === undefined) throw new Error('There is nothing to pick from.')
      return found
    },
    shuffle<T>(list: readonly T[]): T[] {
      const keyed = list.map((item) => ({ item, key: next() }))
      return keyed.toSorted((one, other) => one.key - other.key).map(({ item }) => item)
    },
    fork: (name) => createRandom(`${seed}/${name}`),
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193)
  return value | 0
}
