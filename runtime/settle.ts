import type { LiveEvents } from './live-events.ts'
import type { Outcome } from './outcome.ts'
import type { Queue } from './ports.ts'
import type { ClaimedRun } from './run.ts'

/** Ends the run. Its last events go to readers when that is committed, and not before. */
export async function settle(
  { queue, live }: { queue: Queue; live: LiveEvents },
  run: ClaimedRun,
  outcome: Outcome,
): Promise<void> {
  const settled = await queue.settle(run, outcome)
  if (!settled || outcome.status === 'rolled_back') return
  live.publish(run.run_id, outcome.events.from, outcome.events.list)
}
