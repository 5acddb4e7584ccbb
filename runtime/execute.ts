import { Command } from '@langchain/langgraph'
import type { Assistant } from './assistant.ts'
import { END_EVENT, type NewEvent } from './event.ts'
import { createEventWriter, type EventWriter } from './event-writer.ts'
import { encode } from './json.ts'
import { LeaseLost } from './lease.ts'
import { createPauses } from './pauses.ts'
import type {
  Assistants,
  Checkpoints,
  EventLog,
  Graph,
  Graphs,
  Holds,
  Log,
  Outcome,
  Queue,
  Signals,
  ThreadState,
} from './ports.ts'
import { topics } from './ports.ts'
import type { CancelAction, ClaimedRun, RunError } from './run.ts'
import { enterRun } from './run-context.ts'
import type { Services } from './services.ts'
import { createWire } from './wire.ts'

/** How often a run asks whether it was cancelled, should the signal have been lost. */
const CANCEL_POLL_MS = 2_000
const DEFAULT_RECURSION_LIMIT = 100

export interface ExecutorPorts {
  assistants: Assistants
  graphs: Graphs
  checkpoints: Checkpoints
  events: EventLog
  holds: Holds
  queue: Queue
  signals: Signals
  services: Services
  log: Log
}

/** A client cancelled the run. */
class RunCancelled extends Error {
  readonly action: CancelAction

  constructor(action: CancelAction) {
    super('The run was cancelled.')
    this.name = 'RunCancelled'
    this.action = action
  }
}

/** The server is stopping: the run goes back to the queue as it is. */
export class HandedOver extends Error {}

/**
 * Executes one claimed run to its end and settles it. Never rejects: whatever goes wrong ends in the run's status,
 * or, where the lease is lost, in nothing at all.
 *
 * `stop` aborts with the reason: `HandedOver` and `LeaseLost` leave the run to the next worker.
 */
export async function execute(run: ClaimedRun, stop: AbortSignal, ports: ExecutorPorts): Promise<void> {
  const controller = new AbortController()
  const abort = (reason: Error) => controller.abort(reason)
  const signal = AbortSignal.any([stop, controller.signal])
  const watching = watchForCancel(run, ports, signal, abort)
  try {
    const outcome = await attempt(run, signal, abort, ports)
    const settled = outcome !== undefined && (await ports.queue.settle(run, outcome))
    if (outcome !== undefined && !settled)
      ports.log.warn('The lease was lost before the run could end', { run_id: run.run_id })
  } catch (error) {
    ports.log.error('A run could not be settled; it goes to another worker', {
      run_id: run.run_id,
      cause: String(error),
    })
    await ports.queue.handOver(run).catch(() => {})
  } finally {
    controller.abort(new HandedOver('ended'))
    await watching
  }
}

/** The outcome, or `undefined` where the run is somebody else's now. */
async function attempt(
  run: ClaimedRun,
  signal: AbortSignal,
  abort: (reason: Error) => void,
  ports: ExecutorPorts,
): Promise<Outcome | undefined> {
  const last = run.attempt > 1 ? await ports.events.last(run.thread_id, run.run_id) : undefined
  const events = createEventWriter(ports.events, run, { from: (last?.seq ?? -1) + 1, failed: abort })
  const pauses = createPauses()
  let graph: Graph | undefined
  try {
    if (run.cancel_action) throw new RunCancelled(run.cancel_action)
    await events.push([{ event: 'metadata', data: encode({ run_id: run.run_id, attempt: run.attempt }) }])
    const assistant = await ports.assistants.get(run.assistant_id)
    if (assistant === undefined) throw new Error(`Assistant ${run.assistant_id} does not exist any more.`)
    const config = configOf(run, assistant)
    graph = await ports.graphs.get(assistant.graph_id, config.configurable)
    // Given with the call, because every run of a graph shares the compiled one.
    config.configurable['__pregel_checkpointer'] = ports.checkpoints.fenced(run, abort)
    const held = await stream(run, graph, config, signal, { ports, events, pauses })
    const state = await stateOf(run, graph, pauses, ports)
    return { status: 'success', state, events: await endWith(events, held, state.values) }
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : error
    if (cause instanceof LeaseLost || cause instanceof HandedOver) {
      await events.finish()
      if (cause instanceof HandedOver) await ports.queue.handOver(run)
      return undefined
    }
    if (cause instanceof RunCancelled && cause.action === 'rollback') {
      await events.finish()
      return { status: 'rolled_back' }
    }
    const state = graph && (await stateOf(run, graph, pauses, ports).catch(() => undefined))
    if (cause instanceof RunCancelled) {
      return { status: 'interrupted', state, events: await endWith(events, [], state?.values ?? 'null') }
    }
    return await failure(run, cause, state, events, ports)
  }
}

async function failure(
  run: ClaimedRun,
  cause: unknown,
  state: ThreadState | undefined,
  events: EventWriter,
  ports: ExecutorPorts,
): Promise<Outcome> {
  const error = describe(cause)
  ports.log.warn('A run failed', {
    run_id: run.run_id,
    thread_id: run.thread_id,
    error: error.error,
    message: error.message,
  })
  const data = encode(error)
  return {
    status: 'error',
    error,
    state,
    events: await endWith(events, [{ event: 'error', data }], encode({ __error__: error })),
  }
}

/** Runs the graph. Returns the events that must not be seen before the pause that they tell of is durable. */
async function stream(
  run: ClaimedRun,
  graph: Graph,
  config: ReturnType<typeof configOf>,
  signal: AbortSignal,
  {
    ports,
    events,
    pauses,
  }: { ports: ExecutorPorts; events: EventWriter; pauses: ReturnType<typeof createPauses> },
): Promise<NewEvent[]> {
  const wire = createWire(run.kwargs)
  const held: NewEvent[] = []
  const context = {
    threadId: run.thread_id,
    runId: run.run_id,
    assistantId: run.assistant_id,
    tenantId: run.tenant_id,
    signal,
    services: ports.services,
    grants: { released: ports.holds.released },
  }
  const { input, from } = await inputOf(run, ports.checkpoints)
  await enterRun(context, async () => {
    const chunks = await graph.stream(input, {
      ...config,
      configurable: { ...config.configurable, ...from },
      signal,
      streamMode: wire.modes,
      subgraphs: true,
    })
    for await (const chunk of chunks) {
      const [namespace, mode, payload] = chunk as unknown as [string[], string, unknown]
      if (mode === 'updates') pauses.take(namespace, payload)
      const translated = wire.translate(namespace, mode, payload)
      if (isInterrupt(payload)) held.push(...translated)
      else await events.push(translated)
    }
  })
  signal.throwIfAborted()
  return held
}

function isInterrupt(payload: unknown): boolean {
  return typeof payload === 'object' && payload !== null && '__interrupt__' in payload
}

/**
 * What this attempt is given. The saver stamps the run's id into each checkpoint: an input is applied once, because
 * LangGraph ignores it where the head is this run's own; a resume is always the same map, which answers nothing
 * twice; a command that changes state, or a fork, is sent only until a checkpoint of this run exists.
 */
async function inputOf(run: ClaimedRun, checkpoints: Checkpoints) {
  const { input, command, checkpoint } = run.kwargs
  if (command?.resume !== undefined && command.update === undefined && command.goto === undefined) {
    return { input: new Command({ resume: command.resume }), from: {} }
  }
  if (command === null && checkpoint === null) return { input, from: {} }
  if ((await checkpoints.headRunId(run.thread_id)) === run.run_id) return { input: null, from: {} }
  const from = checkpoint === null ? {} : { checkpoint_id: checkpoint.checkpoint_id }
  return {
    input: command === null ? input : new Command(command as ConstructorParameters<typeof Command>[0]),
    from,
  }
}

function configOf(run: ClaimedRun, assistant: Assistant) {
  const { config, context, durability, interrupt_before, interrupt_after } = run.kwargs
  const base = assistant.config as {
    configurable?: Record<string, unknown>
    recursion_limit?: number
    tags?: string[]
  }
  return {
    configurable: {
      ...base.configurable,
      ...config.configurable,
      thread_id: run.thread_id,
      run_id: run.run_id,
      assistant_id: run.assistant_id,
      graph_id: assistant.graph_id,
      checkpoint_ns: '',
    } as Record<string, unknown>,
    metadata: {
      ...run.metadata,
      run_id: run.run_id,
      thread_id: run.thread_id,
      assistant_id: run.assistant_id,
      graph_id: assistant.graph_id,
      run_attempt: run.attempt,
    },
    // Absent and empty differ: a graph with a context schema of its own refuses the empty one.
    ...(Object.keys({ ...assistant.context, ...context }).length > 0
      ? { context: { ...assistant.context, ...context } }
      : {}),
    tags: [...(base.tags ?? []), ...(config.tags ?? [])],
    recursionLimit: config.recursion_limit ?? base.recursion_limit ?? DEFAULT_RECURSION_LIMIT,
    durability,
    ...(interrupt_before === null ? {} : { interruptBefore: interrupt_before }),
    ...(interrupt_after === null ? {} : { interruptAfter: interrupt_after }),
  }
}

async function stateOf(
  run: ClaimedRun,
  graph: Graph,
  pauses: ReturnType<typeof createPauses>,
  { checkpoints }: ExecutorPorts,
): Promise<ThreadState> {
  const snapshot = await graph.getState({
    configurable: { thread_id: run.thread_id, __pregel_checkpointer: checkpoints.plain },
  })
  return pauses.stateOf(run.thread_id, snapshot, encode(snapshot.values))
}

async function endWith(events: EventWriter, list: NewEvent[], end: string) {
  const rest = await events.finish()
  return { from: rest.from, list: [...rest.list, ...list, { event: END_EVENT, data: end }] }
}

function describe(cause: unknown): RunError {
  if (cause instanceof Error) return { error: cause.name, message: cause.message }
  return { error: 'Error', message: String(cause) }
}

async function watchForCancel(
  run: ClaimedRun,
  { signals, queue, log }: ExecutorPorts,
  signal: AbortSignal,
  abort: (reason: Error) => void,
): Promise<void> {
  const watch = signals.watch(topics.cancel(run.run_id))
  try {
    while (!signal.aborted) {
      await watch.changed({ timeoutMs: CANCEL_POLL_MS, signal })
      if (signal.aborted) return
      const action = await queue.cancelAction(run)
      if (action !== null) abort(new RunCancelled(action))
    }
  } catch (error) {
    log.warn('Cancellation of a run cannot be watched', { run_id: run.run_id, cause: String(error) })
  } finally {
    watch.close()
  }
}
