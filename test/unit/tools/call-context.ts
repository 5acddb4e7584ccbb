import type { z } from 'zod'
import type { Tool, ToolCallContext } from '../../../tools/define.ts'
import { reachOf } from '../../../tools/capabilities.ts'
import { permit } from '../../../tools/permit.ts'
import { Services, type ServiceKey } from '../../../runtime/services.ts'

export const THREAD = '7b1f6b0e-3a52-4c7e-9a51-0d3f3a1f0c11'

/** The context of one call, as the executor would give it, with one service. */
export function callWith<T>(key: ServiceKey<T>, service: T): ToolCallContext {
  const signal = AbortSignal.timeout(10_000)
  const services = new Services().with(key, service)
  return {
    threadId: THREAD,
    callId: 'call-1',
    idempotencyKey: '0d9b1f0e-6c1e-5b6e-8f59-6f1d0a2b3c4d',
    attempt: 'attempt-1',
    secret: (name) => `the secret ${name}`,
    ...reachOf({ name: 'a_tool' }, THREAD, services, signal),
    signal,
  }
}

/** Runs the tool as the executor does. */
export function ranBy<Schema extends z.ZodObject>(
  tool: Tool<Schema>,
  args: z.output<Schema>,
  call: ToolCallContext,
): Promise<unknown> {
  return tool.run(args, permit(tool, call))
}
