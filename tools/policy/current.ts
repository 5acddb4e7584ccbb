import { currentRun } from '../../runtime/run-context.ts'
import { serviceKey } from '../../runtime/services.ts'
import type { Tool } from '../define.ts'
import { isGiven, type Origin } from './decide.ts'
import { NO_RULES, type Policy } from './schema.ts'

/** The policy that is in force: another one after its file has changed. */
export const POLICY = serviceKey<{ current(): Policy }>('policy')

/** Looks up what the thread has read, where a rule asks for it: before anything of it is judged. */
export async function lookIfAsked(): Promise<void> {
  const run = currentRun()
  const { tools = [], rules } = run?.services.find(POLICY)?.current() ?? NO_RULES
  const asked = [...tools, ...rules.map(({ when }) => when)].some(({ untrusted }) => untrusted !== undefined)
  if (asked) await run?.observed.look()
}

/** Those of an agent's tools that are set up and that the policy's allowlist gives it now: what a model is told of. */
export async function toolsGiven(tools: Tool[]): Promise<Tool[]> {
  await lookIfAsked()
  const { policy, origin } = inForce()
  const services = currentRun()?.services
  return tools.filter(
    (tool) =>
      isGiven(policy, tool.name, origin) && (services === undefined || tool.isSetUp?.(services) !== false),
  )
}

/** By what a call that is made now is judged. Outside a run there are no rules, and nobody is known to have asked. */
export function inForce(): { policy: Policy; origin: Origin } {
  const run = currentRun()
  if (run === undefined)
    return {
      policy: NO_RULES,
      origin: {
        agents: undefined,
        tenant: undefined,
        requester: undefined,
        roles: undefined,
        untrusted: undefined,
      },
    }
  return {
    policy: run.services.find(POLICY)?.current() ?? NO_RULES,
    origin: {
      agents: [run.graphId, run.assistantId],
      tenant: run.tenantId,
      requester: run.requester ?? undefined,
      roles: run.roles ?? undefined,
      untrusted: run.observed.untrusted,
    },
  }
}
