import { type Evidence, fact, type Line } from './check.ts'

const ATTEMPTS = `
  select run_id, (data::json ->> 'attempt')::integer as attempt, created_at from events where event = 'metadata'`

/** A worker notices within a second that a lease is over (`POLL_MS` in runtime/worker.ts). */
const NOTICED_WITHIN_MS = 1_000

/** From a process's death to the first event of the next attempt at the runs that it had. */
export async function checkTakeovers({ query, orphans, leaseMs }: Evidence): Promise<Line[]> {
  const rows = await query<{ run_id: string; attempt: number; created_at: Date }>(ATTEMPTS)
  const began = new Map(
    rows.map(({ run_id, attempt, created_at }) => [`${run_id} ${attempt}`, created_at.getTime()]),
  )
  const took = orphans
    .flatMap(({ runId, attempt, diedAt }) => {
      const at = began.get(`${runId} ${attempt + 1}`)
      return at === undefined ? [] : [{ runId, ms: at - diedAt }]
    })
    .toSorted((one, other) => one.ms - other.ms)
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))]?.ms ?? 0
  const limit = leaseMs + NOTICED_WITHIN_MS
  return [
    fact('takeovers after a kill', `${took.length} timed, of ${orphans.length}`),
    {
      what: 'takeover latency',
      found: `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms; lease + 1 s is ${limit} ms`,
      ok: at(0.99) <= limit,
      look: took.filter(({ ms }) => ms > limit).map(({ runId, ms }) => `run ${runId}: ${ms} ms`),
    },
  ]
}
