import { type Allowed, restricts } from './allowed.ts'
import { systemAssistantId } from './assistant.ts'
import { RuntimeError } from './errors.ts'
import { isUuid, newId } from './ids.ts'
import { restored } from './artifact.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Interop } from './interop.ts'
import type { Json } from './json.ts'
import type { InterruptAnswer } from './hold.ts'
import { type Person, rolesOf } from './people.ts'
import type { Assistants, Holds, Runs, Threads } from './ports.ts'
import { type CheckEdit, readResume, waitingInterrupts } from './resume.ts'
import { checkGiven } from './state-limits.ts'
import type { MultitaskStrategy, NewRun, Run, RunRequest } from './run.ts'

export interface StartPorts {
  checkpoints: Checkpoints
  assistants: Assistants
  threads: Threads
  runs: Runs
  holds: Holds
  checkEdit: CheckEdit
  interop: Interop
}

export interface StartRequest {
  threadId: string
  /** An assistant's id, or the id of a graph. */
  assistantId: string
  /** The resume is what the client sent; it becomes a map here. */
  request: Omit<RunRequest, 'command'> & { command: { resume?: Json; update?: Json; goto?: Json } | null }
  metadata: Record<string, Json>
  multitaskStrategy: MultitaskStrategy
  afterSeconds: number
  /** `temporary`: the thread is this run's alone and goes away after it. */
  createThread: boolean | 'temporary'
  /** Of the thread; one that it is not allowed on does not exist. */
  allowed: Allowed
  /** Whose wish it is, whose word the answers to holds are, and of whose tenant a thread is that comes into being with it. */
  by: Person
  /** Whose wish it is besides. */
  alsoBy?: string[]
}

/** Checks what a client asks for against what is there, and queues the run. */
export async function startRun(ports: StartPorts, asked: StartRequest): Promise<Run> {
  const start = await whole(ports, asked)
  const { command } = start.request
  const resumed = command?.resume === undefined ? undefined : await readCommand(ports, start, command.resume)
  return await ports.runs.create(
    newRun(
      start,
      assistantIdOf(start.assistantId),
      command === null ? null : ({ ...command, ...resumed?.command } as RunRequest['command']),
    ),
    {
      createThread: start.createThread,
      allowed: start.allowed,
      by: start.by,
      answers: resumed?.answers ?? [],
    },
  )
}

/** With what the client read as a reference as it is, within the limits. */
async function whole(
  { checkpoints, threads }: StartPorts,
  { request, ...start }: StartRequest,
): Promise<StartRequest> {
  const { threadId, allowed } = start
  // What is in somebody else's thread is nobody's business.
  const find = async (sha256: string) =>
    restricts(allowed) && !(await threads.allows(threadId, allowed))
      ? undefined
      : await checkpoints.artifact(threadId, sha256)
  const input = await restored(request.input, find)
  const command = (await restored(request.command, find)) as typeof request.command
  checkGiven(checkpoints.limits, input)
  checkGiven(checkpoints.limits, command?.update)
  return { ...start, request: { ...request, input, command } }
}

/** The run that is asked for, with its command as it was read. */
export function newRun(start: StartRequest, assistantId: string, command: RunRequest['command']): NewRun {
  return {
    run_id: newId(),
    thread_id: start.threadId,
    assistant_id: assistantId,
    request: { ...start.request, command },
    requested_by: [...new Set([start.by.identity, ...(start.alsoBy ?? [])])],
    requester_roles: rolesOf(start.by.roles),
    metadata: start.metadata,
    multitask_strategy: start.multitaskStrategy,
    after_seconds: start.afterSeconds,
  }
}

async function readCommand(
  { threads, holds, checkEdit, interop }: StartPorts,
  { threadId, allowed, by }: Pick<StartRequest, 'threadId' | 'allowed' | 'by'>,
  resume: Json,
): Promise<{ command: { resume: Record<string, Json> }; answers: InterruptAnswer[] }> {
  const thread = await threads.get(threadId)
  // Before anything is said of the resume: what waits in somebody else's thread is nobody's business.
  if (thread === undefined || (restricts(allowed) && !(await threads.allows(threadId, allowed))))
    throw new RuntimeError('thread_not_found', `Thread ${threadId} does not exist.`)
  const asked = await holds.ofInterrupts(threadId, waitingInterrupts(thread))
  const read = await readResume(thread, asked, resume, { by, checkEdit, interop })
  return { command: { resume: read.resume }, answers: read.answers }
}

/** The assistant of that id, or the system assistant of the graph of that name. */
export async function findAssistant(assistants: Assistants, id: string, allowed?: Allowed) {
  const found = await assistants.get(assistantIdOf(id), allowed)
  if (found === undefined) throw new RuntimeError('assistant_not_found', 'Assistant not found')
  return found
}

function assistantIdOf(id: string): string {
  return isUuid(id) ? id : systemAssistantId(id)
}
