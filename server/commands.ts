import { z } from 'zod'
import { restricts } from '../runtime/allowed.ts'
import { createTell } from '../runtime/artifact.ts'
import { positionOf } from '../runtime/follow-thread.ts'
import type { Json } from '../runtime/json.ts'
import type { Signals } from '../runtime/ports.ts'
import { waitingInterrupts } from '../runtime/resume.ts'
import { readState, type StatePorts } from '../runtime/state.ts'
import type { Thread } from '../runtime/thread.ts'
import { treeOf } from './agent-tree.ts'
import { asCommandError, CommandError, parse, refusal } from './command-error.ts'
import { type Ask, checkThread, mayRun } from './endpoint.ts'
import type { HttpSettings } from './langgraph-json.ts'
import { admitRun, type RunPorts } from './run-streams.ts'
import type { Caller } from './auth.ts'
import { startOf } from './run-request.ts'
import { RunCreate } from './schemas/runs.ts'

export type CommandPorts = RunPorts & StatePorts & { signals: Signals; http?: HttpSettings | undefined }

/** Who sends commands, and with which request. */
export type Sender = Omit<Ask, 'allowed'>

/** What surrounds each command of the protocol. */
export const Envelope = z.looseObject({
  id: z.number().int().nonnegative(),
  method: z.string().min(1).max(100),
  params: z.record(z.string(), z.json()).nullish(),
})
export type Envelope = z.infer<typeof Envelope>

const Strategy = z.enum(['enqueue', 'reject', 'interrupt', 'rollback'])
const Dict = z.record(z.string(), z.json())
const RunStart = z.looseObject({
  assistant_id: z.string().min(1).max(200),
  input: z.json().optional(),
  config: Dict.nullish(),
  metadata: Dict.nullish(),
  multitaskStrategy: Strategy.nullish(),
  multitask_strategy: Strategy.nullish(),
})
const Answer = z.looseObject({ interrupt_id: z.string().min(1).max(200), response: z.json().optional() })
const Along = {
  update: z.json().optional(),
  goto: z.json().optional(),
  config: Dict.nullish(),
  metadata: Dict.nullish(),
}
const Respond = z.union([
  z.looseObject({ responses: z.array(Answer).min(1).max(1_000), ...Along }),
  Answer.extend(Along),
])
const StateGet = z.looseObject({
  keys: z.array(z.string()).nullish(),
  namespace: z.array(z.string()).nullish(),
})
const GetTree = z.looseObject({ run_id: z.uuid().nullish() })

/** Known to the protocol, and not served: another way does the same. */
const NOT_SERVED: Record<string, string> = {
  'subscription.reconnect': 'Subscribe again: everything is replayed, and event ids stay the same.',
  'input.inject': 'Send run.start; it waits until the running run has ended.',
  'state.listCheckpoints': 'Use POST /threads/:thread_id/history.',
  'state.fork': 'Send run.start with config.configurable.checkpoint_id.',
}

/** JSON text of the answer. Throws what is not the command's own fault, and `assistant_not_found`. */
export async function answerCommand(
  ports: CommandPorts,
  threadId: string,
  command: Envelope,
  sender: Sender,
): Promise<string> {
  try {
    const result = await carryOut(ports, threadId, command, sender)
    const meta = { thread_id: threadId, applied_through_seq: await positionOf(ports.events, threadId) }
    const tell = createTell(ports.checkpoints.limits)
    return tell({ type: 'success', id: command.id, result, meta })
  } catch (error) {
    return refusal(command.id, asCommandError(error))
  }
}

async function carryOut(
  ports: CommandPorts,
  threadId: string,
  { method, params }: Envelope,
  sender: Sender,
): Promise<unknown> {
  const given = params ?? {}
  if (ports.http?.disable_runs === true && (method === 'run.start' || method === 'input.respond'))
    throw new CommandError(
      'not_supported',
      `${method} is not served here: http.disable_runs of langgraph.json.`,
    )
  switch (method) {
    case 'run.start':
      return await runStart(ports, threadId, parse(RunStart, given), sender)
    case 'input.respond':
      return await respond(ports, threadId, parse(Respond, given), sender)
    case 'state.get':
      await checkRead(ports, threadId, sender.caller)
      return await stateGet(ports, threadId, parse(StateGet, given))
    case 'agent.getTree':
      await checkRead(ports, threadId, sender.caller)
      return { tree: await treeOf(ports.events, threadId, parse(GetTree, given).run_id ?? undefined) }
    default: {
      const instead = NOT_SERVED[method]
      if (instead !== undefined)
        throw new CommandError('not_supported', `${method} is not served here. ${instead}`)
      throw new CommandError('unknown_command', `There is no command ${method}.`)
    }
  }
}

async function runStart(
  ports: CommandPorts,
  threadId: string,
  params: z.output<typeof RunStart>,
  sender: Sender,
) {
  const thread = await ports.threads.get(threadId)
  const answers =
    thread?.status === 'interrupted' && waitingInterrupts(thread).length > 0 && params.input != null
  return await start(ports, threadId, sender, {
    assistant_id: params.assistant_id,
    ...(answers ? { command: { resume: params.input } } : { input: params.input }),
    config: params.config,
    metadata: params.metadata,
    multitask_strategy: params.multitaskStrategy ?? params.multitask_strategy,
    if_not_exists: 'create',
  })
}

/** Takes the way of every resume: a map by interrupt id, and holds' policy. */
async function respond(
  ports: CommandPorts,
  threadId: string,
  params: z.output<typeof Respond>,
  sender: Sender,
) {
  await checkRead(ports, threadId, sender.caller)
  const thread = await findThread(ports, threadId)
  const list =
    'responses' in params
      ? (params.responses as z.output<typeof Answer>[])
      : [params as z.output<typeof Answer>]
  const waiting = waitingInterrupts(thread)
  const foreign = list.find(({ interrupt_id }) => !waiting.includes(interrupt_id))
  if (foreign !== undefined) {
    throw new CommandError(
      'no_such_interrupt',
      `Interrupt ${foreign.interrupt_id} does not wait in this thread. ${waiting.length === 0 ? 'None does.' : `These do: ${waiting.join(', ')}.`}`,
    )
  }
  const { assistant_id: assistantId } = thread.metadata
  if (typeof assistantId !== 'string')
    throw new CommandError('no_such_run', 'No run has been started on this thread.')
  const { update, goto, config, metadata } = params
  const resume = Object.fromEntries(list.map((one) => [one.interrupt_id, one.response ?? null]))
  await start(ports, threadId, sender, {
    assistant_id: assistantId,
    command: {
      resume,
      ...(update === undefined ? {} : { update }),
      ...(goto === undefined ? {} : { goto }),
    },
    config,
    metadata,
  })
  return {}
}

async function start(
  ports: CommandPorts,
  threadId: string,
  sender: Sender,
  given: unknown,
): Promise<{ run_id: string }> {
  const body = parse(RunCreate, given)
  const allowed = await mayRun(sender.caller, body, { thread_id: threadId })
  const wanted = startOf(threadId, body, { ...sender, allowed })
  const request = { ...wanted.request, protocol: 'v2' as const }
  const run = await admitRun(ports, sender.caller, { ...wanted, request })
  return { run_id: run.run_id }
}

async function stateGet(
  ports: CommandPorts,
  threadId: string,
  { keys, namespace }: z.output<typeof StateGet>,
) {
  const thread = await findThread(ports, threadId)
  const at = namespace && namespace.length > 0 ? { checkpoint_ns: namespace.join('|') } : {}
  const state = await readState(ports, thread, { at, subgraphs: false })
  const entries = Object.entries((state.values ?? {}) as Record<string, Json>)
  const values = Object.fromEntries(entries.filter(([key]) => keys == null || keys.includes(key)))
  return { values, ...(state.checkpoint_id === null ? {} : { checkpoint: { id: state.checkpoint_id } }) }
}

/** A thread that is not there yet is nobody's; one that is has to be the caller's. */
export async function checkRead(
  { threads }: Pick<CommandPorts, 'threads'>,
  threadId: string,
  caller: Caller,
): Promise<void> {
  const allowed = await caller.may('threads:read', { thread_id: threadId })
  if (restricts(allowed) && (await threads.get(threadId)) !== undefined)
    await checkThread(threads, threadId, allowed)
}

async function findThread({ threads }: CommandPorts, threadId: string): Promise<Thread> {
  const thread = await threads.get(threadId)
  if (thread === undefined)
    throw new CommandError('no_such_run', `Thread ${threadId} does not exist yet. Send run.start.`)
  return thread
}
