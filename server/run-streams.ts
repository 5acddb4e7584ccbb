import type { Hono } from 'hono'
import { type Allowed, restricts } from '../runtime/allowed.ts'
import { systemAssistantId } from '../runtime/assistant.ts'
import { RuntimeError } from '../runtime/errors.ts'
import type { RunEvent } from '../runtime/event.ts'
import { awaitRun, followRun, type FollowPorts } from '../runtime/follow.ts'
import { encode } from '../runtime/json.ts'
import { isStreamMode, type Run, type StreamMode } from '../runtime/run.ts'
import { waitingInterrupts } from '../runtime/resume.ts'
import { findAssistant, startRun, type StartPorts, type StartRequest } from '../runtime/start-run.ts'
import type { Caller } from './auth.ts'
import { checkThread } from './endpoint.ts'
import type { Admission } from './overload.ts'
import { HEARTBEAT_MS, sseHead, sseResponse } from './sse.ts'

/** How often a waiting client gets a line break, so that nothing between takes the connection for dead. */
export const KEEP_ALIVE_MS = 1_000

export interface RunPorts extends StartPorts, FollowPorts {
  admission: Admission
  closing: AbortSignal
  /** The project's own routes, which webhooks may name by their path. */
  custom: Hono | undefined
}

/** Starts the run that the caller wants, if there is room for it and the assistant is one of theirs. */
export async function admitRun(ports: RunPorts, caller: Caller, start: StartRequest): Promise<Run> {
  await ports.admission.run()
  checkWebhook(ports, start.request.webhook)
  if (caller.user !== undefined) await checkAssistant(ports, caller, start.assistantId)
  if (caller.user !== undefined && start.request.command?.resume !== undefined)
    await checkAnswer(ports, caller, start)
  return await startRun(ports, start)
}

/** A run with a place for its stream: without one it is not begun, and without the run nobody has the place. */
export async function admitStream(
  ports: RunPorts,
  caller: Caller,
  start: StartRequest,
): Promise<{ run: Run; close: () => void }> {
  const close = ports.admission.stream()
  try {
    return { run: await admitRun(ports, caller, start), close }
  } catch (error) {
    close()
    throw error
  }
}

export function checkWebhook({ custom }: Pick<RunPorts, 'custom'>, url: string | null | undefined): void {
  if (url?.startsWith('/') !== true) return
  if (!isPath(url)) throw new RuntimeError('invalid_input', 'webhook: The path names another host.')
  if (custom !== undefined) return
  throw new RuntimeError(
    'invalid_input',
    'webhook: A path names a route of the project, and this one has none (http.app). Give a whole URL.',
  )
}

/** URLs are read as browsers do, which take `/\t/host` for another host. */
function isPath(url: string): boolean {
  const own = 'http://own.invalid'
  return URL.canParse(url, own) && new URL(url, own).origin === own
}

/** Who may read a run may not end it by going away: that is a change of its thread. */
export async function checkCancels({ threads }: RunPorts, caller: Caller, run: Run): Promise<void> {
  const value = { thread_id: run.thread_id, run_id: run.run_id }
  await checkThread(threads, run.thread_id, await caller.may('threads:update', value))
}

/** The assistant that every graph has is everybody's. */
export async function checkAssistant(
  { assistants }: Pick<RunPorts, 'assistants'>,
  caller: Caller,
  id: string,
): Promise<void> {
  const assistant = await findAssistant(assistants, id)
  if (assistant.assistant_id === systemAssistantId(assistant.graph_id)) return
  const allowed = await caller.may('assistants:read', { assistant_id: assistant.assistant_id })
  if (restricts(allowed)) await findAssistant(assistants, id, allowed)
}

/** Who answers holds in a run's command must be allowed what `/approvals` asks for. */
async function checkAnswer(
  { threads, holds }: RunPorts,
  caller: Caller,
  { threadId, allowed, assistantId }: Pick<StartRequest, 'threadId' | 'allowed' | 'assistantId'>,
): Promise<void> {
  const thread = await threads.get(threadId)
  // Of somebody else's the start says what it says of none.
  if (thread === undefined || !(await sees(threads, threadId, allowed))) return
  const waiting = waitingInterrupts(thread)
  const held = await holds.ofInterrupts(threadId, waiting)
  const isHeld = (id: string) => held.some(({ interrupt_id }) => interrupt_id === id)
  const { assistant_id: last, graph_id: graph } = thread.metadata
  // What is more than an answer to holds takes whoever may start runs.
  if (!waiting.every(isHeld) || (assistantId !== last && assistantId !== graph)) caller.needs('operator')
  if (held.length === 0) return
  for (const { approval_id } of held) {
    const changes = await caller.may('approvals:decide', { thread_id: threadId, approval_id })
    if (!(await sees(threads, threadId, changes)))
      throw new RuntimeError('thread_not_found', `Thread ${threadId} does not exist.`)
  }
  if (caller.studio)
    throw new RuntimeError('hold_not_yours', 'A visitor by way of Studio decides no approvals.')
}

async function sees(threads: RunPorts['threads'], threadId: string, allowed: Allowed): Promise<boolean> {
  return !restricts(allowed) || (await threads.allows(threadId, allowed))
}

export interface StreamOptions {
  /** Where clients find the run: of a thread, or by itself. */
  path: string
  /** Of the run's events only these modes'; unset: all. */
  only?: StreamMode[] | undefined
  after: number
  /** The run has been made just now. */
  begins?: boolean
  /** Whether the run ends with its reader. */
  cancel: boolean
  /** Called once the stream is over. */
  close: () => void
}

export function streamRun(
  ports: RunPorts,
  run: Run,
  { path, only, after, begins = false, cancel, close }: StreamOptions,
): Response {
  const gone = new AbortController()
  const place = {
    threadId: run.thread_id,
    runId: run.run_id,
    after,
    begins,
    idleMs: HEARTBEAT_MS,
    signal: gone.signal,
  }
  const events = followRun(ports, place)
  return sseResponse(only === undefined ? events : ofModes(events, only), {
    headers: headersOf(path),
    closing: ports.closing,
    onEnd: close,
    onAbort() {
      gone.abort()
      if (cancel) cancelLater(ports, run)
    },
  })
}

/** With `Location` the official SDK comes back with Last-Event-ID when its connection breaks. */
function headersOf(path: string): Record<string, string> {
  return { 'Content-Location': path, Location: `${path}/stream` }
}

/** To HEAD, as `streamRun` begins. */
export function headOfStream(path: string): Response {
  return sseHead(headersOf(path))
}

/** To HEAD, as `waitForRun` begins. */
export function headOfWait(path: string): Response {
  return new Response(null, { headers: { 'Content-Type': 'application/json', 'Content-Location': path } })
}

export async function waitForRun(
  ports: RunPorts,
  run: Run,
  { path, cancel: cancelOnDisconnect, begins = false }: { path: string; cancel: boolean; begins?: boolean },
): Promise<Response> {
  const gone = new AbortController()
  const headers = { 'Content-Type': 'application/json', 'Content-Location': path }
  const { promise: idle, resolve: isIdle } = Promise.withResolvers<undefined>()
  let keepAlive = isIdle as () => void
  const place = {
    threadId: run.thread_id,
    runId: run.run_id,
    idleMs: KEEP_ALIVE_MS,
    signal: gone.signal,
    begins,
  }
  const ended = awaitRun(ports, place, async () => keepAlive()).then(
    async (values) => values ?? (gone.signal.aborted ? '' : await valuesOf(ports, run)),
  )
  // Most runs end before the client has to be told that it still is waited for.
  const early = await Promise.race([ended, idle])
  if (early !== undefined) return new Response(early, { headers })

  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      keepAlive = () => controller.enqueue(encoder.encode('\n'))
      keepAlive()
      const values = await ended
      if (gone.signal.aborted) return
      controller.enqueue(encoder.encode(values))
      controller.close()
    },
    cancel() {
      gone.abort()
      if (cancelOnDisconnect) cancelLater(ports, run)
    },
  })
  return new Response(body, { headers })
}

/** What a run without values of its own has left as it was. */
async function valuesOf({ threads }: RunPorts, { thread_id }: Run): Promise<string> {
  return encode((await threads.get(thread_id))?.values ?? null)
}

/** The client has gone, so there is nobody to tell when this fails. */
function cancelLater(ports: RunPorts, run: Run): void {
  ports.runs.cancel(run.thread_id, run.run_id, 'interrupt').catch(() => {})
}

export function pathOf(run: Run): string {
  return `/threads/${run.thread_id}/runs/${run.run_id}`
}

/** Of each batch the events of those modes, and those that tell of the run itself. */
async function* ofModes(
  batches: AsyncGenerator<RunEvent[] | null>,
  only: StreamMode[],
): AsyncGenerator<RunEvent[] | null> {
  const wanted = new Set<string>([...only, 'metadata', 'error'])
  for await (const batch of batches)
    yield batch && batch.filter(({ event }) => wanted.has(modeOf(event.split('|', 1)[0] ?? '')))
}

function modeOf(event: string): string {
  if (event.startsWith('messages/')) return 'messages'
  return event === 'messages' ? 'messages-tuple' : event
}

/** The `stream_mode` of a query: names separated by commas, or a JSON list as some clients send it. */
export function modesOf(text: string | undefined): StreamMode[] | undefined {
  if (text === undefined || text === '') return undefined
  const names = text.replaceAll(/[[\]"\s]/g, '').split(',')
  const unknown = names.filter((name) => !isStreamMode(name))
  if (unknown.length === 0) return names.filter(isStreamMode)
  throw new RuntimeError('invalid_input', `There is no stream mode ${unknown.join(', ')}.`)
}

export function lastEventId(header: string | undefined): number {
  if (header === undefined || header === '' || header === '-') return -1
  const id = Number(header)
  if (Number.isSafeInteger(id) && id >= -1 && id < 2 ** 31) return id
  throw new RuntimeError(
    'invalid_input',
    'Last-Event-ID must be the id of an event of this run, or -1 for all.',
  )
}
