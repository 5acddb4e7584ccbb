import { createTell } from './artifact.ts'
import type { Attempt } from './attempt.ts'
import { checkpointed, NeedsCheckpoints } from './checkpointed.ts'
import type { NewEvent } from './event.ts'
import { chunksOf } from './graph-chunks.ts'
import { GraphStore } from './graph-store.ts'
import { LeaseLost, StorageUnavailable } from './lease.ts'
import { observed } from './observed.ts'
import type { Graph } from './ports.ts'
import { framesOf } from './protocol.ts'
import type { ClaimedRun, Durability } from './run.ts'
import { type configOf, inputOf } from './run-config.ts'
import { enterRun, type RunContext } from './run-context.ts'
import { createWire } from './wire.ts'

/** Streams the graph; under `exit` once more from its beginning, with checkpoints, if it comes to an effect. */
export async function streamDurably(
  attempt: Attempt,
  graph: Graph,
  config: ReturnType<typeof configOf>,
): Promise<NewEvent[]> {
  // What a person has answered is about to have its effect, beside steps that may be new: no reason to begin twice.
  const resumes = attempt.run.kwargs.command?.resume !== undefined
  const durability = resumes && config.durability === 'exit' ? 'sync' : config.durability
  try {
    return await stream(attempt, graph, config, durability)
  } catch (error) {
    if (!(error instanceof NeedsCheckpoints)) throw error
    attempt.pauses.forget()
    return await stream(attempt, graph, config, 'sync')
  }
}

/** Returns the events that must not be seen before the pause that they tell of is durable. */
async function stream(
  { run, ports, events, pauses, signal: stop, abort }: Attempt,
  graph: Graph,
  config: ReturnType<typeof configOf>,
  durability: Durability,
): Promise<NewEvent[]> {
  const tell = createTell(ports.checkpoints.limits)
  const wire = createWire(run.kwargs, ports.interop, tell)
  const held: NewEvent[] = []
  const fenced = ports.checkpoints.fenced(run, abort)
  const again = new AbortController()
  const signal = AbortSignal.any([stop, again.signal])
  const context: RunContext = {
    threadId: run.thread_id,
    runId: run.run_id,
    assistantId: run.assistant_id,
    graphId: run.assistant?.graph_id ?? '',
    tenantId: run.tenant_id,
    requester: run.requested_by.length === 1 ? (run.requested_by[0] ?? null) : null,
    roles: run.requester_roles,
    signal,
    services: ports.services,
    ...recordsOf(run, ports, abort),
    attempt: `${run.run_id}.${run.lease_token}`,
    checkpointed: checkpointed(run, durability, fenced, ports.checkpoints, {
      signal,
      abort: (reason) => again.abort(reason),
    }),
  }
  const { input, from } = await inputOf(run, ports)
  try {
    await enterRun(context, async () => {
      const options = {
        ...config,
        // The saver is given with the call, because every run of a graph shares the compiled one.
        configurable: { ...config.configurable, ...from, __pregel_checkpointer: fenced.saver },
        // It counts before one that the graph was compiled with, in its subgraphs too.
        store: new GraphStore(ports.store.of(run.tenant_id), run, abort),
        durability,
        signal,
      }
      if (run.kwargs.protocol === 'v2') {
        for await (const frame of framesOf(graph, input, options, ports.interop, tell)) {
          if (frame.interrupts)
            pauses.take(frame.interrupts.namespace, { __interrupt__: frame.interrupts.list })
          if (frame.tellsOfPause) held.push(...frame.events)
          else await events.push(frame.events)
        }
        return
      }
      const legacy = { ...options, streamMode: wire.modes }
      for await (const { namespace, mode, payload } of chunksOf(graph, input, legacy, wire.events)) {
        if (mode === 'updates') pauses.take(namespace, payload)
        const translated = wire.translate(namespace, mode, payload)
        if (isInterrupt(payload)) held.push(...translated)
        else await events.push(translated)
      }
    })
  } finally {
    await fenced.flush()
  }
  signal.throwIfAborted()
  return held
}

/**
 * The holds and the ledger, as the run's tools see them. A node may take any error for its own failure (a plan makes
 * another plan of it): one that says nothing of the call ends the attempt before the node can.
 */
function recordsOf(
  run: ClaimedRun,
  { holds, effects }: Attempt['ports'],
  abort: (reason: Error) => void,
): Pick<RunContext, 'grants' | 'ledger' | 'observed'> {
  const ending = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer
    } catch (error) {
      if (error instanceof StorageUnavailable || error instanceof LeaseLost) abort(error)
      throw error
    }
  }
  const ledger = effects.ledger(run)
  const observations = effects.observations(run)
  return {
    grants: {
      released: (call) => ending(holds.released(call)),
      askedAgain: (call) => ending(holds.askedAgain(call)),
    },
    observed: observed({
      sources: () => ending(observations.sources()),
      read: (tools) => ending(observations.read(tools)),
      refused: (list) => ending(observations.refused(list)),
    }),
    ledger: {
      intend: (intent) => ending(ledger.intend(intent)),
      find: (intent) => ending(ledger.find(intent)),
      retake: (intent, owner) => ending(ledger.retake(intent, owner)),
      conclude: (intent, status, outcome) => ending(ledger.conclude(intent, status, outcome)),
    },
  }
}

function isInterrupt(payload: unknown): boolean {
  return typeof payload === 'object' && payload !== null && '__interrupt__' in payload
}
