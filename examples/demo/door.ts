import { Problem } from './problem.ts'

/** One call that waits for a person, as `GET /approvals` tells it. */
export interface Approval {
  approval_id: string
  tool: string
  args: Record<string, unknown>
  risk: string
}

export type Decision =
  | { type: 'approve' }
  | { type: 'edit'; args: Record<string, unknown> }
  | { type: 'reject'; message?: string }

/** What the SDK has no words for: files and approvals. */
export interface Door {
  putFile(threadId: string, name: string, bytes: Uint8Array): Promise<void>
  pendingApprovals(threadId: string): Promise<Approval[]>
  /** `refused`: nothing changed, and why. `resumedRunId`: the run that goes on, if this was the last decision. */
  decide(
    approvalId: string,
    decision: Decision,
  ): Promise<{ refused: string } | { resumedRunId: string | null }>
}

export function createDoor(url: string): Door {
  async function call(path: string, init?: RequestInit): Promise<Response> {
    return await fetch(new URL(path, `${url}/`), init).catch((cause: unknown) => {
      throw new Problem(`The server at ${url} does not answer any more.`, { cause })
    })
  }

  return {
    async putFile(threadId, name, bytes) {
      const path = `threads/${threadId}/files/${encodeURIComponent(name)}`
      const headers = { 'content-type': 'application/octet-stream' }
      const response = await call(path, { method: 'PUT', headers, body: new Uint8Array(bytes) })
      if (!response.ok) throw new Problem(`The server did not take ${name}: ${await reason(response)}`)
    },

    async pendingApprovals(threadId) {
      const response = await call(
        `approvals?${new URLSearchParams({ thread_id: threadId, status: 'pending' })}`,
      )
      if (!response.ok) throw new Problem(`The server did not list the approvals: ${await reason(response)}`)
      return (await response.json()) as Approval[]
    },

    async decide(approvalId, decision) {
      const response = await call(`approvals/${encodeURIComponent(approvalId)}/decisions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(decision),
      })
      if (!response.ok) return { refused: await reason(response) }
      const { resumed_run_id } = (await response.json()) as { resumed_run_id?: string | null }
      return { resumedRunId: resumed_run_id ?? null }
    },
  }
}

async function reason(response: Response): Promise<string> {
  const text = await response.text()
  try {
    const body = JSON.parse(text) as { message?: unknown; detail?: unknown; error?: unknown }
    const found = [body.detail, body.message, body.error].find((one) => typeof one === 'string')
    return typeof found === 'string' ? found : text
  } catch {
    return text || `status ${response.status}`
  }
}
