import { Command } from '@langchain/langgraph'
import type { Assistant } from './assistant.ts'
import type { Checkpoints } from './ports.ts'
import type { ClaimedRun } from './run.ts'

const DEFAULT_RECURSION_LIMIT = 100

/** LangGraph's config for the run: the assistant's, then the client's, then what says where and as whom it runs. */
export function configOf(run: ClaimedRun, assistant: Assistant) {
  const { config, context, durability, interrupt_before, interrupt_after } = run.kwargs
  const base = assistant.config as {
    configurable?: Record<string, unknown>
    recursion_limit?: number
    tags?: string[]
  }
  const place = {
    run_id: run.run_id,
    thread_id: run.thread_id,
    assistant_id: run.assistant_id,
    graph_id: assistant.graph_id,
  }
  const merged = { ...assistant.context, ...context }
  return {
    configurable: { ...base.configurable, ...config.configurable, ...place, checkpoint_ns: '' } as Record<
      string,
      unknown
    >,
    metadata: { ...run.metadata, ...place, run_attempt: run.attempt },
    // Absent and empty differ: a graph with a context schema of its own refuses the empty one.
    ...(Object.keys(merged).length > 0 ? { context: merged } : {}),
    tags: [...(base.tags ?? []), ...(config.tags ?? [])],
    recursionLimit: config.recursion_limit ?? base.recursion_limit ?? DEFAULT_RECURSION_LIMIT,
    durability,
    ...(interrupt_before === null ? {} : { interruptBefore: interrupt_before }),
    ...(interrupt_after === null ? {} : { interruptAfter: interrupt_after }),
  }
}

/**
 * What this attempt is given. The saver stamps the run's id into each checkpoint: an input is applied once, because
 * LangGraph ignores it where the head is this run's own; a resume is always the same map, which answers nothing
 * twice; a command that changes state, or a fork, is sent only until a checkpoint of this run exists.
 */
export async function inputOf(run: ClaimedRun, checkpoints: Checkpoints) {
  const { input, command, checkpoint } = run.kwargs
  if (command?.resume !== undefined && command.update === undefined && command.goto === undefined) {
    return { input: new Command({ resume: command.resume }), from: {} }
  }
  if (command === null && checkpoint === null) return { input, from: {} }
  if ((await checkpoints.headRunId(run.thread_id)) === run.run_id) return { input: null, from: {} }
  const from = checkpoint === null ? {} : { checkpoint_id: checkpoint.checkpoint_id }
  const given = command === null ? input : new Command(command as ConstructorParameters<typeof Command>[0])
  return { input: given, from }
}
