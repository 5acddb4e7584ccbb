import { currentRun } from '../../runtime/run-context.ts'
import { serviceKey } from '../../runtime/services.ts'
import type { Origin } from './decide.ts'
import { NO_RULES, type Policy } from './schema.ts'

/** The policy that is in force: another one after its file has changed. */
export const POLICY = serviceKey<{ current(): Policy }>('policy')

/** By what a call that is made now is judged. Outside a run there are no rules, and nobody is known to have asked. */
export function inForce(): { policy: Policy; origin: Origin } {
  const run = currentRun()
  if (run === undefined)
    return { policy: NO_RULES, origin: { agents: undefined, tenant: undefined, requester: undefined } }
  return {
    policy: run.services.find(POLICY)?.current() ?? NO_RULES,
    origin: {
      agents: [run.graphId, run.assistantId],
      tenant: run.tenantId,
      requester: run.requester ?? undefined,
    },
  }
}
