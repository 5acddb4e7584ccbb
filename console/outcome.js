// @ts-check
import { getRun, listApprovals, runPath } from './api.js'
import { previewOf, summaryOf } from './call.js'
import { h, revealed } from './element.js'
import { hashOf } from './route.js'
import { moment } from './when.js'

/**
 * @typedef {import('./api.js').Approval} Approval
 * @typedef {Exclude<import('./api.js').Status, 'pending'>} Decided
 */

/** @type {Record<Decided, { title: string, meaning: string }>} */
const TEXTS = {
  approved: { title: 'Approved', meaning: 'The call runs exactly as it is shown above.' },
  edited: { title: 'Approved with changes', meaning: 'This runs instead:' },
  rejected: { title: 'Rejected', meaning: 'The call does not run; the agent is told.' },
  responded: { title: 'Answered instead', meaning: 'The call does not run; the agent got this answer:' },
  expired: { title: 'Expired', meaning: 'Nobody decided in time. The call does not run.' },
  cancelled: {
    title: 'Cancelled',
    meaning:
      'The thread went on without it: new input, a changed state, or it was deleted. The call does not run.',
  },
}

/**
 * What became of a call, and of its run.
 * @param {Approval & { status: Decided }} approval
 * @param {string} [notice] said first, for whoever was about to decide too
 */
export function outcomeOf(approval, notice) {
  const { title, meaning } = TEXTS[approval.status]
  const { decisions, votes, status } = approval
  const decision = status === 'edited' ? decisions.findLast(({ type }) => type === 'edit') : decisions.at(-1)
  const released = status === 'approved' || status === 'edited' ? votes.map(({ by }) => by) : []
  const by = released.length > 0 ? released.join(' and ') : decision?.by
  const heading = h('h3', { tabindex: '-1' }, title, by ? ' by ' : null, by ? revealed(by) : null)
  const followUp = h('div', { class: 'follow-up', role: 'status' })
  const node = h(
    'section',
    { class: `outcome ${approval.status}`, 'aria-label': 'Outcome' },
    notice ? h('p', { class: 'problem', role: 'alert' }, notice) : null,
    heading,
    approval.decided_at ? h('p', { class: 'hint' }, moment(approval.decided_at)) : null,
    h('p', {}, meaning),
    decision?.args ? previewOf(approval.tool, decision.args) : null,
    decision?.message ? h('pre', { class: 'message', dir: 'auto' }, revealed(decision.message)) : null,
    followUp,
  )
  return { node, heading, ...follow(approval, followUp) }
}

const ENDED = ['success', 'error', 'timeout', 'interrupted']

/** @type {Record<string, string>} */
const RUN = {
  pending: 'queued',
  running: 'running',
  success: 'done',
  error: 'failed',
  timeout: 'timed out',
  interrupted: 'cancelled',
}

/**
 * Looks, until the run has ended, how it goes on and which other approvals it waits for.
 * @param {Approval} approval
 * @param {HTMLElement} place
 */
function follow(approval, place) {
  let settled = approval.status === 'cancelled'
  let shown = ''
  /** @param {AbortSignal} signal */
  async function refresh(signal) {
    if (settled) return
    const [run, waiting] = await Promise.all([
      approval.resumed_run_id === null ? null : getRun(approval.thread_id, approval.resumed_run_id, signal),
      listApprovals({ status: 'pending', thread_id: approval.thread_id, limit: 20 }, signal),
    ])
    if (signal.aborted) return
    settled = run !== null && ENDED.includes(run.status)
    // Not resumed: what is missing are the other calls of the same message, which is one interrupt.
    const others = waiting.items.filter(
      ({ interrupt_id }) => run !== null || interrupt_id === approval.interrupt_id,
    )
    const state = JSON.stringify([run, others.map(({ approval_id }) => approval_id)])
    if (state === shown) return
    shown = state
    place.replaceChildren(
      ...[run && runLine(approval, run), waitingList(others, run !== null)].filter((one) => one !== null),
    )
  }
  return { refresh, isFollowing: () => !settled && approval.resumed_run_id !== null }
}

/** @param {Approval} approval @param {import('./api.js').Run} run */
function runLine({ thread_id, resumed_run_id }, run) {
  const id = resumed_run_id ?? ''
  const why = run.error ? `: ${run.error.message}` : ''
  return h(
    'p',
    { class: 'run-line' },
    'The agent goes on in run ',
    h('a', { class: 'id', href: runPath(thread_id, id) }, id),
    ' ',
    h('span', { class: `badge run-${run.status}` }, `${RUN[run.status] ?? run.status}${why}`),
  )
}

/** @param {Approval[]} approvals @param {boolean} resumed */
function waitingList(approvals, resumed) {
  if (approvals.length === 0) return null
  return h(
    'div',
    {},
    h('p', {}, resumed ? 'It waits again:' : 'The agent goes on when these are decided too:'),
    h(
      'ul',
      {},
      approvals.map((one) => h('li', {}, linkTo(one))),
    ),
  )
}

/** @param {Approval} approval */
function linkTo({ approval_id, tool, args }) {
  return h(
    'a',
    { href: hashOf({ id: approval_id, status: 'pending' }) },
    `${tool}: `,
    revealed(summaryOf(tool, args).slice(0, 120)),
  )
}
