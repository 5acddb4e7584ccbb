// @ts-check
import { keyOfTab } from './key.js'

/**
 * @typedef {'pending' | 'approved' | 'edited' | 'rejected' | 'responded' | 'expired' | 'cancelled'} Status
 * @typedef {{ type: 'approve' | 'edit' | 'reject' | 'respond', args?: Args, args_hash?: string, message?: string }} Decision
 * @typedef {Record<string, unknown>} Args
 *
 * @typedef {object} Approval
 * @property {string} approval_id
 * @property {string} thread_id
 * @property {string} run_id
 * @property {string} assistant_id
 * @property {string} interrupt_id one for all held calls of a message
 * @property {'tool' | 'in_doubt'} kind `in_doubt`: the call may or may not have happened
 * @property {string} tool
 * @property {string} tool_version
 * @property {Args} args
 * @property {string} args_hash
 * @property {import('./schema-text.js').Schema | null} args_schema what the tool takes, as JSON Schema; null: not known
 * @property {Preview | null} preview what the call would do, as the tool says
 * @property {string | null} no_preview why there is none, where the tool would have had one
 * @property {string | null} replaces the approval that this one was asked for in the place of
 * @property {string} risk
 * @property {string} reason
 * @property {string | null} rule the policy's rules that asked; null: the tool's own risk did
 * @property {string} policy_version
 * @property {Needs} needs
 * @property {Status} status
 * @property {(Decision & { by: string, at: string })[]} decisions
 * @property {Vote[]} votes
 * @property {{ args: Args, args_hash: string, by: string, at: string, preview?: Preview | null, no_preview?: string | null } | null} proposal what somebody wants to run instead
 * @property {{ by: string, at: string, text: string }[]} comments
 * @property {string | null} escalated_at
 * @property {boolean} self_approval there are no keys
 * @property {{ identity: string, may: string[], may_comment: boolean, why_not: string | null }} you who asks, and what they may do
 * @property {string} created_at
 * @property {string | null} expires_at null: it waits for as long as it takes
 * @property {string | null} decided_at
 * @property {string | null} resumed_run_id
 *
 * @typedef {{ by: string, type: 'approve' | 'edit', at: string, comment?: string, senior?: boolean }} Vote
 *
 * @typedef {{ kind: 'diff', path: string, before: string | null, text: string }
 *   | { kind: 'mail', from: string, to: string[], cc: string[], subject: string, text: string }
 *   | { kind: 'text', text: string }
 *   | { kind: 'table', columns: string[], rows: string[][] }} Preview
 *
 * @typedef {object} Needs what releases a call
 * @property {number} approvers
 * @property {number} seniors
 * @property {string[]} who roles and identities
 * @property {'reject' | 'wait' | { escalate: { to: string[], expires_in: number } }} on_expiry
 *
 * @typedef {{ status: string, error: { message: string } | null }} Run
 * @typedef {{ graph_id: string, name: string }} Assistant
 */

/** What the server said against a request: its status, and its own words as the message. */
export class Refusal extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/**
 * @param {{ status?: Status | '', thread_id?: string, limit: number }} filter
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ items: Approval[], total: number }>}
 */
export async function listApprovals({ status, thread_id, limit }, signal) {
  const query = new URLSearchParams({ limit: String(limit) })
  if (status) query.set('status', status)
  if (thread_id) query.set('thread_id', thread_id)
  const response = await request(`/approvals?${query}`, { signal })
  return { items: await response.json(), total: Number(response.headers.get('x-pagination-total')) }
}

/**
 * @param {string} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<Approval>}
 */
export async function getApproval(id, signal) {
  return await (await request(`/approvals/${encodeURIComponent(id)}`, { signal })).json()
}

/**
 * @param {string} id
 * @param {Decision} decision
 * @returns {Promise<Approval>}
 */
export async function decide(id, decision) {
  const response = await request(`/approvals/${encodeURIComponent(id)}/decisions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(decision),
  })
  return await response.json()
}

/**
 * Takes your own approval back.
 * @param {string} id
 * @returns {Promise<Approval>}
 */
export async function withdraw(id) {
  return await (await request(`/approvals/${encodeURIComponent(id)}/votes`, { method: 'DELETE' })).json()
}

/**
 * @param {string} id
 * @param {string} text
 * @returns {Promise<Approval>}
 */
export async function comment(id, text) {
  const response = await request(`/approvals/${encodeURIComponent(id)}/comments`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ text }),
  })
  return await response.json()
}

/**
 * @param {string} threadId
 * @param {string} runId
 * @param {AbortSignal} [signal]
 * @returns {Promise<Run>}
 */
export async function getRun(threadId, runId, signal) {
  return await (await request(runPath(threadId, runId), { signal })).json()
}

/**
 * @param {string} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<Assistant>}
 */
export async function getAssistant(id, signal) {
  return await (await request(`/assistants/${encodeURIComponent(id)}`, { signal })).json()
}

/** @param {string} threadId */
export function threadPath(threadId) {
  return `/threads/${encodeURIComponent(threadId)}`
}

/** @param {string} threadId @param {string} runId */
export function runPath(threadId, runId) {
  return `${threadPath(threadId)}/runs/${encodeURIComponent(runId)}`
}

/** @param {string} path @param {RequestInit} init */
async function request(path, init) {
  const headers = new Headers(init.headers)
  const key = keyOfTab()
  if (key !== null) headers.set('x-api-key', key)
  const response = await fetch(path, { ...init, headers })
  if (!response.ok)
    throw new Refusal(response.status, (await response.text()) || `The server answered ${response.status}.`)
  return response
}
