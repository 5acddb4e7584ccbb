import { monitorEventLoopDelay } from 'node:perf_hooks'
import { RuntimeError } from '../runtime/errors.ts'
import type { Queue } from '../runtime/ports.ts'

/** How old the known depth of the queue may be. Counting it for each request would cost more than it saves. */
const DEPTH_AGE_MS = 1_000
/** An event loop that is this late for its timers takes no new work: every run on it would be late as well. */
const MAX_LAG_MS = 1_000
const WINDOW_MS = 2_000
/** Windows in a row. One stall, such as a first compilation, is no overload. */
const LATE_WINDOWS = 3

export interface Admission {
  /** Throws `overloaded` where the server should not take one more run. */
  run(): Promise<void>
  /** Counts an open stream until the returned function is called. Throws `overloaded` where there are too many. */
  stream(): () => void
  /** How many are open. */
  streams(): number
  close(): void
}

/** Refuses work early and clearly, instead of all of it late. */
export function createAdmission(queue: Queue, limits: { maxQueue: number; maxStreams: number }): Admission {
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  let lagMs = 0
  let lateWindows = 0
  const timer = setInterval(() => {
    lagMs = delay.mean / 1e6
    lateWindows = lagMs > MAX_LAG_MS ? lateWindows + 1 : 0
    delay.reset()
  }, WINDOW_MS)
  timer.unref()

  let depth = 0
  let countedAt = -Infinity
  let streams = 0
  return {
    async run() {
      if (lateWindows >= LATE_WINDOWS)
        throw new RuntimeError('overloaded', `The server is ${Math.round(lagMs)} ms behind. Try again later.`)
      if (performance.now() - countedAt > DEPTH_AGE_MS) {
        countedAt = performance.now()
        depth = await queue.depth()
      }
      if (depth >= limits.maxQueue) {
        throw new RuntimeError(
          'overloaded',
          `${depth} runs are waiting already. Try again later, or raise HOLDPOINT_MAX_QUEUE.`,
        )
      }
    },
    stream() {
      if (streams >= limits.maxStreams) {
        throw new RuntimeError(
          'overloaded',
          `${streams} streams are open already. Close some, or raise HOLDPOINT_MAX_STREAMS.`,
        )
      }
      streams++
      let open = true
      return () => {
        if (open) streams--
        open = false
      }
    },
    streams: () => streams,
    close() {
      clearInterval(timer)
      delay.disable()
    },
  }
}
