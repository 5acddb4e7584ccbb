// @ts-check
import { getAssistant, runPath, threadPath } from './api.js'
import { decisionPanel } from './decision.js'
import { h, revealed, setText } from './element.js'
import { outcomeOf } from './outcome.js'
import { shownOf } from './preview.js'
import { remarkForm } from './remark.js'
import { standingOf } from './standing.js'
import { ago, isSoon, moment, until } from './when.js'

/**
 * @typedef {import('./api.js').Approval} Approval
 * @typedef {ReturnType<typeof createDetail>} Detail
 */

/** @type {Record<import('./api.js').Status, string>} */
export const STATUS_WORDS = {
  pending: 'waiting',
  approved: 'approved',
  edited: 'edited',
  rejected: 'rejected',
  responded: 'answered',
  expired: 'expired',
  cancelled: 'cancelled',
}

/**
 * Everything about one approval. What would run is drawn once and never again: it cannot change under the pointer.
 * @param {Approval} first
 * @param {{ decided(): void }} listener
 */
export function createDetail(first, listener) {
  const heading = h('h2', { tabindex: '-1' }, revealed(first.tool))
  const status = h('span', { class: 'badge' })
  const asked = h('span')
  const expires = h('span')
  const people = h('div')
  const below = h('div', { class: 'below' })
  let standing = ''
  let drawn = ''
  let notice = ''
  /** @type {HTMLElement | null} */
  let unsent = null
  /** @type {import('./decision.js').DecisionPanel | null} */
  let panel = null
  /** @type {ReturnType<typeof outcomeOf> | null} */
  let outcome = null

  const node = h(
    'article',
    { class: 'detail', 'aria-label': `Approval of ${first.tool}` },
    h('header', {}, heading, status, riskBadge(first.risk), h('p', { class: 'hint' }, asked, expires)),
    h('p', { class: 'reason' }, revealed(first.reason)),
    shownOf(first),
    people,
    below,
    first.you.may_comment &&
      remarkForm(first.approval_id, (commented) => {
        update(commented)
        listener.decided()
      }),
    facts(first),
  )

  /** @param {Approval} next */
  function update(next) {
    // The answer to a decision that is on its way says whose it was; a list that overtakes it does not.
    if (panel?.isBusy()) return
    setText(status, STATUS_WORDS[next.status])
    status.className = `badge ${next.status}`
    setText(asked, `asked ${ago(next.created_at)}`)
    setText(expires, next.status === 'pending' ? ` · ${expiryOf(next)}` : '')
    expires.className = isSoon(next.expires_at) ? 'soon' : ''
    drawPeople(next)
    const { status: now, decisions, resumed_run_id, proposal, you } = next
    const state = JSON.stringify([now, decisions, resumed_run_id, proposal, you])
    if (state === drawn) return
    drawn = state
    if (next.status === 'pending') drawPending(next)
    else drawOutcome({ ...next, status: next.status })
  }

  /** @param {Approval} next */
  function drawPeople(next) {
    const { votes, comments, escalated_at, proposal, you, status: now } = next
    const state = JSON.stringify([votes, comments, escalated_at, proposal, you.identity, now])
    if (state === standing) return
    standing = state
    people.replaceChildren(
      standingOf(next, (changed) => void changed.then(update, () => {}).finally(listener.decided)),
    )
  }

  /** @param {Approval} next */
  function drawPending(next) {
    outcome = null
    notice = ''
    // What was being written is not sent of other arguments, nor lost.
    unsent = panel?.retire() ?? null
    panel = decisionPanel(next, {
      decided(decided) {
        panel = null
        update(decided)
        outcome?.heading.focus()
        listener.decided()
      },
      overtaken(words) {
        notice = `It was decided meanwhile. ${words}`
        listener.decided()
      },
    })
    below.replaceChildren(panel.node, youOf(next), ...(unsent ? [unsent] : []))
  }

  /** @param {Parameters<typeof outcomeOf>[0]} next */
  function drawOutcome(next) {
    if (panel !== null) {
      unsent = panel.retire()
      if (next.decisions.length > 0) notice ||= 'It was decided while this page was open.'
      panel = null
    }
    outcome = outcomeOf(next, notice)
    below.replaceChildren(outcome.node, ...(unsent ? [unsent] : []))
  }

  update(first)
  return {
    id: first.approval_id,
    node,
    heading,
    update,
    /** @param {AbortSignal} signal */
    refresh: async (signal) => await outcome?.refresh(signal),
    isFollowing: () => outcome?.isFollowing() ?? false,
  }
}

/** @param {string} risk */
export function riskBadge(risk) {
  return h('span', { class: `badge risk risk-${risk}` }, `${risk} risk`)
}

/** @param {Approval} approval */
function youOf({ self_approval, you }) {
  return h(
    'p',
    { class: 'hint' },
    'You decide as ',
    h('b', {}, revealed(you.identity)),
    self_approval
      ? '. No keys are configured, so everybody who reaches this page decides as the same person, also about runs that they started themselves.'
      : '.',
  )
}

/** @param {Approval} approval */
function expiryOf({ expires_at }) {
  return expires_at === null ? 'does not expire' : `expires ${until(expires_at)}`
}

/** @param {Approval['needs']} needs */
function peopleOf({ approvers, seniors, who }) {
  const people = approvers === 1 ? 'one approval' : `${approvers} approvals`
  return `${people}${seniors === 0 ? '' : `, ${seniors} of them by seniors`}, by: ${who.join(', ')}`
}

/** @param {Approval['needs']} needs */
function afterwards({ on_expiry }) {
  if (typeof on_expiry === 'object') return `, then it goes to ${on_expiry.escalate.to.join(', ')}`
  return on_expiry === 'reject' ? ', then it counts as rejected' : ''
}

/** @param {Approval} approval */
function facts({
  approval_id,
  thread_id,
  run_id,
  assistant_id,
  args_hash,
  created_at,
  expires_at,
  ...asked
}) {
  const agent = h('dd', {}, assistant_id)
  getAssistant(assistant_id).then(
    ({ name, graph_id }) => setText(agent, name === graph_id ? name : `${name} (${graph_id})`),
    // Its id is there already.
    () => {},
  )
  return h(
    'dl',
    { class: 'facts' },
    h('div', {}, h('dt', {}, 'Agent'), agent),
    fact('Needs', revealed(peopleOf(asked.needs))),
    asked.rule !== null &&
      fact('Rule', h('span', {}, revealed(asked.rule), ` of policy ${asked.policy_version}`)),
    fact('Asked', moment(created_at)),
    fact('Expires', expires_at === null ? 'never' : revealed(moment(expires_at) + afterwards(asked.needs))),
    fact('Thread', h('a', { class: 'id', href: threadPath(thread_id) }, thread_id)),
    fact('Run', h('a', { class: 'id', href: runPath(thread_id, run_id) }, run_id)),
    fact('Approval', h('span', { class: 'id' }, approval_id)),
    asked.replaces !== null && fact('In the place of', h('span', { class: 'id' }, asked.replaces)),
    fact('Tool', h('span', {}, revealed(`${asked.tool}, version ${asked.tool_version}`))),
    fact('Arguments, SHA-256', h('span', { class: 'id' }, args_hash)),
  )
}

/** @param {string} name @param {import('./element.js').Child | import('./element.js').Child[]} value */
function fact(name, value) {
  return h('div', {}, h('dt', {}, name), h('dd', {}, value))
}
