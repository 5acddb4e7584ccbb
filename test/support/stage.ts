import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from '@langchain/langgraph-sdk'
import { afterAll, beforeAll, beforeEach, expect, vi } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import type { EachDatabase } from './each-database.ts'
import { type ScriptedModel, type ScriptedStep, startScriptedModel } from './scripted-model.ts'
import { startTestServer, type TestServer } from './server.ts'

/** Long enough for a loaded machine; a condition that holds is seen at once. */
export const WAIT = { timeout: 15_000, interval: 20 }

export interface Stage {
  readonly url: string
  readonly client: Client
  readonly model: ScriptedModel
  readonly logLines: string[]
  readonly dataDir: string
  /** What the model will answer in this test, in order. All of it must be used. */
  play(...steps: ScriptedStep[]): void
  http: Http
  /** A new thread's id. */
  thread(): Promise<string>
  /** The thread's approvals, in the order of their message. */
  holds(threadId: string, status?: string): Promise<Hold[]>
  decide(approvalId: string, decision: object): Promise<Answer>
  /** Every mail that was sent, as text. */
  mails(): Promise<string[]>
}

export interface Answer {
  status: number
  headers: Headers
  text: string
  /** The body, parsed. Throws where it is no JSON. */
  json: <T = Record<string, unknown>>() => T
}

export type Http = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer>

/** One server and one scripted model for a suite. Each test plays its own script. */
export function useStage(database: EachDatabase, env: Record<string, string> = {}): Stage {
  let model: ScriptedModel | undefined
  let server: TestServer | undefined
  beforeAll(async () => {
    model = await startScriptedModel([])
    server = await startTestServer({ ...database.place, modelUrl: model.url, env })
  })
  // Not in an `afterEach`: a test that failed half way has steps left, and its own error is the one to read.
  beforeEach(({ onTestFinished, task }) => {
    onTestFinished(() => {
      try {
        model?.play([])
      } catch (error) {
        if (task.result?.errors === undefined || task.result.errors.length === 0) throw error
      }
    })
  })
  afterAll(async () => {
    await server?.close()
    await model?.close()
  })
  const up = () => {
    if (server === undefined || model === undefined) throw new Error('The stage is up from beforeAll on.')
    return { server, model }
  }
  return {
    get url() {
      return up().server.url
    },
    get client() {
      return up().server.client
    },
    get model() {
      return up().model
    },
    get logLines() {
      return up().server.logLines
    },
    get dataDir() {
      return up().server.dataDir
    },
    play: (...steps) => up().model.play(steps),
    http: (...request) => httpOn(up().server.url)(...request),
    thread: async () => (await up().server.client.threads.create()).thread_id,
    holds: (threadId, status) => holdsOn(up().server.url, threadId, status),
    decide: (approvalId, decision) =>
      httpOn(up().server.url)('POST', `/approvals/${approvalId}/decisions`, decision),
    mails: () => mailsIn(up().server.dataDir),
  }
}

export function httpOn(url: string): Http {
  return async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      redirect: 'manual',
    })
    const text = await response.text()
    const json = <T>() => JSON.parse(text) as T
    return { status: response.status, headers: response.headers, text, json }
  }
}

export async function holdsOn(url: string, threadId: string, status?: string): Promise<Hold[]> {
  const query = new URLSearchParams({ thread_id: threadId, ...(status === undefined ? {} : { status }) })
  const answer = await httpOn(url)('GET', `/approvals?${query.toString()}`)
  // Call ids are made in the order of the calls, and sort by time.
  return answer.json<Hold[]>().toSorted((a, b) => (a.call_id < b.call_id ? -1 : 1))
}

export async function mailsIn(dataDir: string): Promise<string[]> {
  const outbox = join(dataDir, 'outbox')
  const names = await readdir(outbox).catch((): string[] => [])
  return await Promise.all(
    names.filter((name) => name.endsWith('.eml')).map((name) => readFile(join(outbox, name), 'utf8')),
  )
}

/** The mails with this word in them: a suite's tests share an outbox. */
export async function mailsAbout(word: string, mails: () => Promise<string[]>): Promise<number> {
  return (await mails()).filter((mail) => mail.includes(word)).length
}

export async function untilRun(
  client: Client,
  threadId: string,
  runId: string,
  ...statuses: string[]
): Promise<void> {
  await vi.waitFor(async () => {
    const { status } = await client.runs.get(threadId, runId)
    expect(statuses).toContain(status)
  }, WAIT)
}

/** Waits until the thread is at rest: nothing of it is queued or running. */
export async function untilThread(client: Client, threadId: string, status: string): Promise<void> {
  await vi.waitFor(async () => {
    expect((await client.threads.get(threadId)).status).toBe(status)
  }, WAIT)
}

/** Every one of `count` callers waits here until all have come. Proof that they were there at the same time. */
export function meeting(count: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let here = 0
  return async () => {
    here += 1
    if (here === count) resolve()
    await promise
  }
}

/** Something that happens once, and a way to wait for it. */
export function moment(): { reached: Promise<void>; reach: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { reached: promise, reach: resolve }
}

/** A model's step that is asked and never answers: what waits for it is stopped meanwhile. */
export function silent(asked: { reach: () => void }): () => Promise<never> {
  return async () => {
    asked.reach()
    return await new Promise(() => {})
  }
}

export function mailTo(subject: string, more: Record<string, string> = {}) {
  return { name: 'send_email', args: { to: 'ops@example.com', subject, body: 'A body.', ...more } }
}

export function says(text: string) {
  return { messages: [{ role: 'user', content: text }] }
}
