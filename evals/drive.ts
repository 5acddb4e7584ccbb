import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Client } from '@langchain/langgraph-sdk'
import type { Decision, Hold } from '../runtime/hold.ts'
import type { EvalCase } from './case.ts'
import { readMail } from './eml.ts'
import type { Observation, ObservedHold } from './observation.ts'
import { createTranscript, type Transcript } from './transcript.ts'

/** The server under test, as a client sees it, and its outbox. */
export interface Target {
  url: string
  client: Client
  dataDir: string
}

/** A case takes 1 s, on a crowded machine 10; one that hangs must not keep the others from being told. */
const CASE_MS = 60_000

/** No case needs more holds than this, one after the other; an agent that makes more is caught in a loop. */
const MAX_HOLDS = 10

/** Does a case's tasks on a thread of its own, decides its holds and looks at what came of it. */
export async function drive(one: EvalCase, target: Target): Promise<Observation & { mailPaths: string[] }> {
  const { client } = target
  const signal = AbortSignal.timeout(CASE_MS)
  const started = performance.now()
  const { thread_id: threadId } = await client.threads.create()
  const files = createFiles(target, threadId)
  for (const [path, text] of Object.entries(one.files)) await files.put(path, text)

  const transcript = createTranscript()
  const holds: ObservedHold[] = []
  for (const task of one.tasks) {
    await follow(
      client.runs.stream(threadId, one.agent, {
        input: { messages: [{ role: 'user', content: task }] },
        streamMode: ['updates', 'custom'],
        streamSubgraphs: true,
        signal,
      }),
      transcript,
      signal,
    )
    await decideAll(one, target, threadId, transcript, holds, signal)
  }

  const { values } = await client.threads.getState<{
    messages?: { content: unknown }[]
    end_reason?: string
  }>(threadId)
  const [run] = await client.runs.list(threadId, { limit: 1 })
  const paths = (await files.list()).filter((path) => !(path in one.files))
  return {
    ...transcript,
    holds,
    mails: await Promise.all(
      transcript.mailPaths.map(async (path) =>
        readMail(await readFile(join(target.dataDir, 'outbox', basename(path)))),
      ),
    ),
    written: Object.fromEntries(
      await Promise.all(paths.map(async (path) => [path, await files.get(path)] as const)),
    ),
    answer: textOf(values.messages?.at(-1)?.content),
    endReason: values.end_reason ?? 'none',
    status: run?.status ?? 'none',
    ms: Math.round(performance.now() - started),
  }
}

/** A message's content is a text, or parts of which some are. */
function textOf(content: unknown): string {
  if (!Array.isArray(content)) return typeof content === 'string' ? content : ''
  return content.map((part: { text?: string }) => part.text ?? '').join('')
}

type Events = AsyncIterable<{ event: string; data: unknown }>

async function follow(stream: Events, transcript: Transcript, signal: AbortSignal): Promise<void> {
  for await (const { event, data } of stream) transcript.take(event, data)
  // The client ends an aborted stream as if it were at its end.
  signal.throwIfAborted()
}

/** Decides what waits, oldest first, and follows the runs that go on, until nothing waits. */
async function decideAll(
  { decide = () => ({ type: 'approve' }) }: EvalCase,
  { url, client }: Target,
  threadId: string,
  transcript: Transcript,
  holds: ObservedHold[],
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const waiting = await json<Hold[]>(`${url}/approvals?status=pending&thread_id=${threadId}`)
    const hold = waiting.at(-1)
    if (hold === undefined) return
    if (holds.length === MAX_HOLDS) throw new Error(`More than ${MAX_HOLDS} holds in one case.`)
    const { status } = await client.threads.get(threadId)
    const decision: Decision = decide(hold)
    const released = decision.type === 'approve' || decision.type === 'edit'
    holds.push({ hold, threadStatus: status, decidedAt: transcript.position, released })
    const decided = await json<Hold>(`${url}/approvals/${hold.approval_id}/decisions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(decision),
    })
    if (decided.resumed_run_id !== null)
      await follow(client.runs.joinStream(threadId, decided.resumed_run_id, { signal }), transcript, signal)
  }
}

function createFiles({ url }: Target, threadId: string) {
  const base = `${url}/threads/${threadId}/files`
  const at = (path: string) => `${base}/${path.split('/').map(encodeURIComponent).join('/')}`
  return {
    put: (path: string, text: string) => json(at(path), { method: 'PUT', body: text }),
    list: async () => (await json<{ path: string }[]>(base)).map(({ path }) => path),
    get: async (path: string) => (await accepted(at(path))).text(),
  }
}

async function json<T>(url: string, init?: RequestInit): Promise<T> {
  return (await (await accepted(url, init)).json()) as T
}

async function accepted(url: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(url, init)
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`)
  return response
}
