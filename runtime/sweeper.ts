import type { Clock, Holds, Log } from './ports.ts'

/** No expired hold waits longer than a minute past its time. */
const EVERY_MS = 20_000

/** Ends what is past its time. Any number of servers may sweep: each hold is ended once. */
export function startSweeper(
  { holds }: { holds: Holds },
  clock: Clock,
  log: Log,
): { close(): Promise<void> } {
  let sweeping: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    sweeping = holds.expire(clock()).catch((error: unknown) => {
      log.error('Expired approvals could not be ended; trying again', { cause: String(error) })
    })
  }, EVERY_MS)
  return {
    async close() {
      clearInterval(timer)
      await sweeping
    },
  }
}
