import { getCallbackManagerForConfig, type RunnableConfig } from '@langchain/core/runnables'
import type { Execution } from '../tools/executor.ts'
import type { Call } from '../tools/policy.ts'

export interface CallReport {
  started(): void
  ended(execution: Execution): Promise<void>
}

/**
 * Tells LangChain's callbacks of a call, as LangChain's own tools do: from there the stream modes `tools` and `events`,
 * the channel `tools` of event streaming and tracers have it. What was not started is not reported.
 */
export async function reportCall({ key, tool, args }: Call, config: RunnableConfig): Promise<CallReport> {
  const callbacks = await getCallbackManagerForConfig(config)
  const named = { lc: 1, type: 'not_implemented' as const, id: ['holdpoint', 'tools', tool] }
  let started: ReturnType<NonNullable<typeof callbacks>['handleToolStart']> | undefined
  return {
    started() {
      const input = args as Record<string, unknown>
      started = callbacks?.handleToolStart(
        named,
        input,
        undefined,
        undefined,
        undefined,
        undefined,
        tool,
        key.callId,
      )
    },
    async ended(execution) {
      const reported = await started
      if (execution.status === 'ok') await reported?.handleToolEnd(execution.result)
      else await reported?.handleToolError(new Error(wordsOf(execution)))
    },
  }
}

function wordsOf(execution: Exclude<Execution, { status: 'ok' }>): string {
  return 'ask' in execution ? execution.ask.reason : execution.message
}
