import type { Door } from './door.ts'
import type { Random } from './random.ts'
import { type Reading, readRun } from './reader.ts'
import type { Tally } from './tally.ts'

export interface Readers {
  /** Follows the run from its beginning, unless somebody does already. `first` is a stream that is open. */
  follow(threadId: string, runId: string, first?: Response): void
  readings: Reading[]
  /** How many are still reading. */
  open(): number
}

export function createReaders(options: {
  door: Door
  random: Random
  tally: Tally
  signal: AbortSignal
  failed: (error: unknown) => void
}): Readers {
  const byRun = new Map<string, Reading>()
  let open = 0
  return {
    follow(threadId, runId, first) {
      if (byRun.has(runId)) return
      const reading: Reading = { threadId, runId, seen: [], faults: [], ended: false }
      byRun.set(runId, reading)
      open++
      readRun({ ...options, random: options.random.fork(runId) }, reading, first)
        .catch(options.failed)
        .finally(() => open--)
    },
    get readings() {
      return [...byRun.values()]
    },
    open: () => open,
  }
}
