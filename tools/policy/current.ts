import { currentRun } from '../../runtime/run-context.ts'
import { serviceKey } from '../../runtime/services.ts'
import type { Origin } from './decide.ts'
import { NO_RULES, type Policy } from './schema.ts'

/** The policy that is in force: another one after its file has changed. */
export const POLICY = serviceKey<{ current(): Policy }>('policy')

/** Looks up what the thread has read, where a rule asks for it: before anything of it is judged. */
export async function lookIfAsked(): Promise<void> {
  const run = currentRun()
  const rules = run?.services.find(POLICY)?.current().rules ?? []
  if (rules.some(({ when }) => when.untrusted !== undefined)) await run?.observed.look()
}

/** By what a call that is made now is judged. Outside a run there are no rules, and nobody is known to have asked. */
export function inForce(): { policy: Policy; origin: Origin } {
  const run = currentRun()
  if (run === undefined)
    return {
      policy: NO_RULES,
      origin: { agents: undefined, tenant: undefined, requester: undefined, untrusted: undefined },
    }
  return {
    policy: run.services.find(POLICY)?.current() ?? NO_RULES,
    origin: {
      agents: [run.graphId, run.assistantId],
      tenant: run.tenantId,
      requester: run.requester ?? undefined,
      untrusted: run.observed.untrusted,
    },
  }
}
