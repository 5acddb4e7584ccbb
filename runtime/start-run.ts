import { systemAssistantId } from './assistant.ts'
import { RuntimeError } from './errors.ts'
import { isUuid, newId } from './ids.ts'
import type { Interop } from './interop.ts'
import type { Json } from './json.ts'
import type { Assistants, Holds, InterruptAnswer, Runs, Threads } from './ports.ts'
import { type CheckArgs, readResume, waitingInterrupts } from './resume.ts'
import type { MultitaskStrategy, Run, RunRequest } from './run.ts'

export interface StartPorts {
  assistants: Assistants
  threads: Threads
  runs: Runs
  holds: Holds
  checkArgs: CheckArgs
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
}

/** Checks what a client asks for against what is there, and queues the run. */
export async function startRun(ports: StartPorts, start: StartRequest): Promise<Run> {
  const assistant = await findAssistant(ports.assistants, start.assistantId)
  const { command, ...rest } = start.request
  const resumed =
    command?.resume === undefined ? undefined : await readCommand(ports, start.threadId, command.resume)
  if (resumed && (command?.update !== undefined || command?.goto !== undefined)) {
    throw new RuntimeError(
      'not_supported',
      'A resume cannot carry an update or a goto. Send them as a run of their own.',
    )
  }
  return await ports.runs.create(
    {
      run_id: newId(),
      thread_id: start.threadId,
      assistant_id: assistant.assistant_id,
      request: {
        ...rest,
        command: command === null ? null : { ...command, ...resumed?.command },
      } as RunRequest,
      metadata: { ...start.metadata, graph_id: assistant.graph_id },
      multitask_strategy: start.multitaskStrategy,
      after_seconds: start.afterSeconds,
    },
    { createThread: start.createThread, answers: resumed?.answers ?? [] },
  )
}

async function readCommand(
  { threads, holds, checkArgs, interop }: StartPorts,
  threadId: string,
  resume: Json,
): Promise<{ command: { resume: Record<string, Json> }; answers: InterruptAnswer[] }> {
  const thread = await threads.get(threadId)
  if (thread === undefined) throw new RuntimeError('thread_not_found', `Thread ${threadId} does not exist.`)
  const asked = await holds.ofInterrupts(threadId, waitingInterrupts(thread))
  const read = readResume(thread, asked, resume, { checkArgs, interop })
  return { command: { resume: read.resume }, answers: read.answers }
}

/** The assistant of that id, or the system assistant of the graph of that name. */
export async function findAssistant(assistants: Assistants, id: string) {
  const found = await assistants.get(isUuid(id) ? id : systemAssistantId(id))
  if (found === undefined) throw new RuntimeError('assistant_not_found', 'Assistant not found')
  return found
}
