import { Client } from '@langchain/langgraph-sdk'
import type { Json } from '../../runtime/json.ts'
import type { ScriptedModel } from '../support/scripted-model.ts'
import type { TestServer } from '../support/server.ts'

export interface HeldCall {
  approval_id: string
  thread_id: string
  run_id: string
  tool: string
  status: string
  resumed_run_id: string | null
  decisions: { type: string; message?: string; args?: Json }[]
}

/** What the agent is told, in all of these. */
export const TASK = 'Do it.'

interface Options {
  /** What the model says after the decision; null where none is made. */
  afterwards?: string | null
}

/** Lets the react agent make these calls, and returns the approvals that they wait for, newest first. */
export async function holdCalls(
  server: TestServer,
  model: ScriptedModel,
  toolCalls: { name: string; args: Json }[],
  { afterwards = 'Done.' }: Options = {},
): Promise<HeldCall[]> {
  model.play([{ content: 'I do it.', toolCalls }, ...(afterwards === null ? [] : [{ content: afterwards }])])
  return await startAndStop(server)
}

/** As `holdCalls`, for one mail. */
export async function holdMail(
  server: TestServer,
  model: ScriptedModel,
  mail: Record<string, Json>,
  options?: Options,
): Promise<HeldCall> {
  return first(await holdCalls(server, model, [{ name: 'send_email', args: mail }], options))
}

/** The SDK as programs use it: it comes back when a busy machine's server says that it is behind. */
export function patientClient({ url }: TestServer): Client {
  return new Client({ apiUrl: url, apiKey: null, callerOptions: { maxRetries: 5 } })
}

/** Starts the agent on a thread of its own, and returns what it waits for. What it calls is in the model's script. */
export async function startAndStop(server: TestServer): Promise<HeldCall[]> {
  const client = patientClient(server)
  const { thread_id } = await client.threads.create()
  await client.runs.wait(thread_id, 'react', {
    input: { messages: [{ role: 'user', content: TASK }] },
  })
  const response = await fetch(`${server.url}/approvals?thread_id=${thread_id}`)
  return (await response.json()) as HeldCall[]
}

export function first(calls: HeldCall[]): HeldCall {
  const [call] = calls
  if (call === undefined) throw new Error('The agent did not stop at a call.')
  return call
}

export async function approvalNow(server: TestServer, { approval_id }: HeldCall): Promise<HeldCall> {
  return (await (await fetch(`${server.url}/approvals/${approval_id}`)).json()) as HeldCall
}
