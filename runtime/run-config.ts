import { Command, Send } from '@langchain/langgraph'
import type { Json } from './json.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Queue } from './ports.ts'
import type { ClaimedRun, RunRequest } from './run.ts'

const DEFAULT_RECURSION_LIMIT = 100

/** LangGraph's config for the run: the assistant's, then the client's, then what says where and as whom it runs. */
export function configOf(run: ClaimedRun, assistant: NonNullable<ClaimedRun['assistant']>) {
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
    configurable: {
      ...clean(base.configurable),
      ...config.configurable,
      ...run.caller,
      ...place,
      checkpoint_ns: '',
    } as Record<string, unknown>,
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

const OURS = new Set([
  'thread_id',
  'run_id',
  'assistant_id',
  'graph_id',
  'checkpoint_id',
  'checkpoint_ns',
  'checkpoint_map',
])

/** A configuration without what says where and as whom the run runs, and without LangGraph's internals. */
export function clean<T>(configurable: Record<string, T> = {}): Record<string, T> {
  return Object.fromEntries(
    Object.entries(configurable).filter(
      ([key]) => !OURS.has(key) && !key.startsWith('__') && !key.startsWith('langgraph_auth_'),
    ),
  )
}

/**
 * What this attempt is given. The saver stamps the run's id into each checkpoint: an input is applied once, because
 * LangGraph ignores it where the head is this run's own; a resume is sent again until it was taken; a command that
 * changes state, or a fork, is sent only until a checkpoint of this run exists.
 */
export async function inputOf(
  run: ClaimedRun,
  { checkpoints, queue }: { checkpoints: Checkpoints; queue: Queue },
) {
  const { input, command, checkpoint } = run.kwargs
  if (command?.resume !== undefined) {
    const { resume: given, ...along } = command
    const resume = await stillUnanswered(run, given, checkpoints, queue)
    // What comes along changes the state, once: LangGraph keeps it with the answers until the first checkpoint of the run.
    const comes = Object.keys(along).length > 0
    const again = comes && (await checkpoints.headRunId(run.thread_id)) === run.run_id
    const rest = {
      ...(again ? {} : along),
      ...(Object.keys(resume).length > 0 ? { resume } : {}),
    }
    // With nothing left to answer the graph stops at its next questions again.
    return { input: Object.keys(rest).length > 0 ? commandOf(rest) : null, from: {} }
  }
  if (command === null && checkpoint === null) return { input, from: {} }
  if ((await checkpoints.headRunId(run.thread_id)) === run.run_id) return { input: null, from: {} }
  return { input: command === null ? input : commandOf(command), from: checkpoint ?? {} }
}

/** A client's `goto` names nodes, or nodes with the input that they start with: LangGraph's `Send` in JSON. */
function commandOf({ goto, ...command }: NonNullable<RunRequest['command']>): Command {
  const targets = goto === undefined ? [] : [goto].flat().map(targetOf)
  return new Command({
    ...(command as ConstructorParameters<typeof Command>[0]),
    ...(targets.length === 0 ? {} : { goto: targets }),
  })
}

function targetOf(target: Json): string | Send {
  if (typeof target === 'string') return target
  const { node, input } = target as { node: string; input?: Json }
  return new Send(node, input ?? {})
}

/**
 * The answers that no earlier attempt has delivered. All questions of one task share an interrupt id, so an answer
 * that is sent again after its task has stored it and asked on would answer the next question.
 */
async function stillUnanswered(
  run: ClaimedRun,
  resume: Record<string, Json>,
  checkpoints: Checkpoints,
  queue: Queue,
): Promise<Record<string, Json>> {
  const counts = await checkpoints.answerCounts(run.thread_id)
  if (run.answered === null) {
    // Noted before the graph is given anything: an attempt that finds no note is the first that gets this far.
    await queue.noteAnswered(run, counts)
    return resume
  }
  const before = run.answered
  return Object.fromEntries(Object.entries(resume).filter(([id]) => (counts[id] ?? 0) <= (before[id] ?? 0)))
}
