// @ts-check
import { withdraw } from './api.js'
import { h, revealed } from './element.js'
import { shownOf } from './preview.js'
import { ago } from './when.js'

/**
 * How far people have come with it: arguments that one of them has written, votes, comments, and what is still needed.
 * @param {import('./api.js').Approval} approval
 * @param {(changed: Promise<import('./api.js').Approval>) => void} changing
 */
export function standingOf(approval, changing) {
  const { proposal, votes, comments, escalated_at, needs, status, you } = approval
  const waits = status === 'pending'
  const takeBack = h(
    'button',
    { type: 'button', class: 'quiet', click: () => changing(withdraw(approval.approval_id)) },
    'Take your approval back',
  )
  return h(
    'section',
    { class: 'standing', 'aria-label': 'People' },
    proposal && [
      h(
        'p',
        {},
        h('b', {}, revealed(proposal.by)),
        ' has edited the arguments. What is approved now is this:',
      ),
      waits && shownOf(proposedOf(approval.tool, proposal)),
    ],
    escalated_at &&
      h(
        'p',
        { class: 'hint' },
        `Nobody decided in time: since ${ago(escalated_at)} it is for `,
        revealed(needs.who.join(', ')),
        '.',
      ),
    waits && needs.approvers + needs.seniors > 1 && progress(approval),
    votes.length > 0 &&
      waits &&
      h('ul', { class: 'votes', 'aria-label': 'Approved so far' }, votes.map(wordOf)),
    waits && votes.some(({ by }) => by === you.identity) && takeBack,
    comments.length > 0 && h('ul', { class: 'votes', 'aria-label': 'Comments' }, comments.map(remarkOf)),
  )
}

/** @param {string} tool @param {NonNullable<import('./api.js').Approval['proposal']>} proposal */
function proposedOf(tool, { args, preview = null, no_preview = null }) {
  return { tool, args, preview, no_preview }
}

/** @param {import('./api.js').Approval} approval */
function progress({ needs, votes }) {
  const seniors = votes.filter(({ senior }) => senior).length
  const ofThem = needs.seniors === 0 ? '' : `; ${seniors} of ${needs.seniors} by seniors`
  return h('p', {}, h('b', {}, `${votes.length} of ${needs.approvers} approvals${ofThem}`))
}

/** @param {import('./api.js').Vote} vote */
function wordOf({ by, at, comment, senior }) {
  return h(
    'li',
    {},
    h('b', {}, revealed(by)),
    `${senior ? ', a senior,' : ''} approved ${ago(at)}`,
    comment ? [': ', h('span', { dir: 'auto' }, revealed(comment))] : null,
  )
}

/** @param {{ by: string, at: string, text: string }} comment */
function remarkOf({ by, at, text }) {
  return h(
    'li',
    {},
    h('b', {}, revealed(by)),
    ` said ${ago(at)}: `,
    h('span', { dir: 'auto' }, revealed(text)),
  )
}
