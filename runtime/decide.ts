import type { DecisionLink } from './decision-link.ts'
import { RuntimeError } from './errors.ts'
import { failpoint } from './failpoint.ts'
import type { Decision, Hold } from './hold.ts'
import type { Person } from './people.ts'
import type { Holds, Signals } from './ports.ts'
import { topics } from './topics.ts'
import { checkDecision, type CheckEdit } from './resume.ts'

/** The `hold` event is sent a moment before the hold's row is there. */
const APPEARS_WITHIN_MS = 2_000
const POLL_MS = 500

/** One person's word on a hold. Throws `hold_not_found`, `hold_decided` or `invalid_decision`, and then changed nothing. */
export async function decideHold(
  { holds, checkEdit }: { holds: Holds; checkEdit: CheckEdit },
  approvalId: string,
  decision: Decision,
  by: Person,
  link?: DecisionLink,
): Promise<Hold> {
  const hold = await holds.get(approvalId)
  if (hold === undefined) throw new RuntimeError('hold_not_found', `Approval ${approvalId} does not exist.`)
  const { edited } = await checkDecision(hold, decision, { by, checkEdit })
  const decided = await holds.decide(approvalId, decision, by, edited, link)
  await failpoint('hold.decide:after')
  return decided
}

/** The hold, waiting a moment for one that a stream has just announced. */
export async function findHold(
  { holds, signals }: { holds: Holds; signals: Signals },
  approvalId: string,
  signal: AbortSignal,
): Promise<Hold> {
  const watch = signals.watch(topics.hold(approvalId))
  const giveUp = performance.now() + APPEARS_WITHIN_MS
  try {
    for (;;) {
      const hold = await holds.get(approvalId)
      if (hold) return hold
      if (performance.now() >= giveUp || signal.aborted) {
        throw new RuntimeError('hold_not_found', `Approval ${approvalId} does not exist.`)
      }
      await watch.changed({ timeoutMs: POLL_MS, signal })
    }
  } finally {
    watch.close()
  }
}
