import { setTimeout as sleep } from 'node:timers/promises'
import { createTell } from './artifact.ts'
import type { Attempt, ExecutorPorts } from './attempt.ts'
import { attemptEvent, END_EVENT, type NewEvent } from './event.ts'
import { createEventWriter, type EventWriter } from './event-writer.ts'
import { failpoint } from './failpoint.ts'
import { encode } from './json.ts'
import { HandedOver, LeaseLost, StorageUnavailable } from './lease.ts'
import type { Outcome, ThreadState } from './outcome.ts'
import { createPauses } from './pauses.ts'
import type { Graph } from './ports.ts'
import { inputRequested, lifecycleEnd } from './protocol.ts'
import { type ClaimedRun, MAX_STALLS, type RunError } from './run.ts'
import { configOf } from './run-config.ts'
import { settle } from './settle.ts'
import { streamDurably } from './stream-graph.ts'
import { RunCancelled, watchForCancel } from './watch-cancel.ts'

/** Between tries to write a run's end while the database does not answer. */
const RETRY_MS = 200

/**
 * Executes one claimed run to its end and settles it. Never rejects: whatever goes wrong ends in the run's status,
 * or, where the lease is lost, in nothing at all.
 *
 * `stop` aborts with the reason: `HandedOver` and `LeaseLost` leave the run to the next worker.
 */
export async function execute(run: ClaimedRun, stop: AbortSignal, ports: ExecutorPorts): Promise<void> {
  const ended = new AbortController()
  const controller = new AbortController()
  const abort = (reason: Error) => controller.abort(reason)
  const signal = AbortSignal.any([stop, controller.signal])
  const watching = watchForCancel(run, ports, AbortSignal.any([signal, ended.signal]), abort)
  try {
    const outcome = await attempt(run, signal, abort, ports)
    if (outcome === undefined) await insist(stop, () => ports.queue.handOver(run))
    else await end(run, outcome, stop, ports)
    await failpoint('run.settle:after')
  } catch (error) {
    if (!(error instanceof LeaseLost)) {
      ports.log.error('A run could not be ended here; another worker takes it over', {
        run_id: run.run_id,
        cause: String(error),
      })
    }
  } finally {
    ended.abort()
    await watching
  }
}

/** Settles the run; where the database refuses what it ended with, as an error without it: a run never stays open. */
async function end(
  run: ClaimedRun,
  outcome: Outcome,
  stop: AbortSignal,
  ports: ExecutorPorts,
): Promise<void> {
  try {
    await insist(stop, () => settle(ports, run, outcome))
  } catch (error) {
    if (error instanceof LeaseLost || error instanceof StorageUnavailable || outcome.status === 'rolled_back')
      throw error
    ports.log.error('The end of a run could not be stored', { run_id: run.run_id, cause: String(error) })
    const told: RunError = {
      error: 'StorageError',
      message: 'The end of the run could not be stored. The server log has the cause.',
    }
    const list = [
      { event: 'error', data: encode(told) },
      lifecycleEnd('failed', told.message),
      { event: END_EVENT, data: encode({ __error__: told }) },
    ]
    const events = { from: outcome.events.from, list }
    await insist(stop, () => settle(ports, run, { status: 'error', error: told, state: undefined, events }))
  }
}

/** Tries again while the database does not answer and the lease may still be ours. */
async function insist(stop: AbortSignal, write: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await write()
      return
    } catch (error) {
      if (!(error instanceof StorageUnavailable) || stop.reason instanceof LeaseLost) throw error
      await sleep(RETRY_MS)
    }
  }
}

/** The outcome, or `undefined` where another worker is to go on. Throws `LeaseLost`. */
async function attempt(
  run: ClaimedRun,
  signal: AbortSignal,
  abort: (reason: Error) => void,
  ports: ExecutorPorts,
): Promise<Outcome | undefined> {
  try {
    const last = run.attempt > 1 ? await ports.events.last(run.thread_id, run.run_id) : undefined
    const from = (last?.seq ?? -1) + 1
    const events = createEventWriter(ports, run, { from, failed: abort })
    // The first event has been told as such, whichever attempt comes to write it.
    if (from === 0 && run.attempt > 1) await events.push([attemptEvent(run.run_id, 1)])
    await events.push([attemptEvent(run.run_id, run.attempt)])
    return await outcomeOf({ run, ports, events, pauses: createPauses(ports.interop), signal, abort })
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : error
    if (cause instanceof HandedOver || cause instanceof StorageUnavailable) return undefined
    throw cause
  }
}

async function outcomeOf(attempt: Attempt): Promise<Outcome> {
  const { run, ports, events, signal } = attempt
  let graph: Graph | undefined
  try {
    if (run.cancel_action) throw new RunCancelled(run.cancel_action)
    if (run.stalls > MAX_STALLS) throw new WorkerLost(run.stalls)
    const { assistant } = run
    if (assistant === null) throw new Error(`Assistant ${run.assistant_id} does not exist any more.`)
    const config = configOf(run, assistant)
    graph = await ports.graphs.get(assistant.graph_id, config.configurable)
    const held = await streamDurably(attempt, graph, config)
    const state = await stateOf(attempt, graph, true)
    const told = [...requests(run, state), lifecycleEnd(state.paused ? 'interrupted' : 'completed')]
    return { status: 'success', state, events: await endWith(events, [...held, ...told], resultOf(state)) }
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : error
    if (cause instanceof HandedOver || cause instanceof LeaseLost || cause instanceof StorageUnavailable) {
      await events.finish()
      throw cause
    }
    return await failed(attempt, graph, cause)
  }
}

async function failed(attempt: Attempt, graph: Graph | undefined, cause: unknown): Promise<Outcome> {
  const { run, ports, events } = attempt
  if (cause instanceof RunCancelled && cause.action === 'rollback') {
    await events.finish()
    return { status: 'rolled_back' }
  }
  const state = graph && (await stateOf(attempt, graph, false).catch(onlyUnavailable))
  if (cause instanceof RunCancelled) {
    const told = [lifecycleEnd('interrupted')]
    return { status: 'interrupted', state, events: await endWith(events, told, state?.values ?? 'null') }
  }
  const error = describe(cause)
  const fields = { run_id: run.run_id, thread_id: run.thread_id, error: error.error, cause: error.message }
  ports.log.warn('A run failed', fields)
  const told = [{ event: 'error', data: encode(error) }, lifecycleEnd('failed', error.message)]
  return { status: 'error', error, state, events: await endWith(events, told, encode({ __error__: error })) }
}

/** A state that cannot be read leaves the thread's as it was; a database that does not answer is another matter. */
function onlyUnavailable(error: unknown): undefined {
  if (error instanceof StorageUnavailable) throw error
}

/** A v2 run has told of its questions itself, with their places. */
function requests({ kwargs }: ClaimedRun, { interrupts }: ThreadState): NewEvent[] {
  return kwargs.protocol === 'v2' ? [] : Object.values(interrupts).flat().map(inputRequested)
}

async function stateOf(
  { run, pauses, ports }: Attempt,
  graph: Graph,
  complete: boolean,
): Promise<ThreadState> {
  const configurable = { thread_id: run.thread_id, __pregel_checkpointer: ports.checkpoints.plain }
  const snapshot = await graph.getState({ configurable })
  const tell = createTell(ports.checkpoints.limits)
  return pauses.stateOf(run.thread_id, snapshot, tell(snapshot.values), complete)
}

/** What whoever waits for the run gets: JSON text of its values, and of what it asks under LangGraph's own name. */
function resultOf({ values, interrupts }: ThreadState): string {
  const asked = Object.values(interrupts).flat()
  if (asked.length === 0 || !values.startsWith('{')) return values
  return encode({ ...(JSON.parse(values) as object), __interrupt__: asked })
}

async function endWith(events: EventWriter, list: NewEvent[], end: string) {
  const rest = await events.finish()
  return { from: rest.from, list: [...rest.list, ...list, { event: END_EVENT, data: end }] }
}

class WorkerLost extends Error {
  constructor(stalls: number) {
    super(
      `${stalls} workers died with this run, none of them after a new checkpoint. Its state is kept; POST …/redrive tries again.`,
    )
    this.name = 'worker_lost'
  }
}

function describe(cause: unknown): RunError {
  if (cause instanceof Error) return { error: cause.name, message: cause.message }
  return { error: 'Error', message: String(cause) }
}
