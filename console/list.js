// @ts-check
import { summaryOf } from './call.js'
import { riskBadge, STATUS_WORDS } from './detail.js'
import { h, revealed, setText } from './element.js'
import { hashOf } from './route.js'
import { ago, isSoon, until } from './when.js'

/**
 * @typedef {import('./api.js').Approval} Approval
 * @typedef {{ node: HTMLLIElement, link: HTMLAnchorElement, status: HTMLElement, when: HTMLElement }} Item
 */

const SUMMARY_LENGTH = 160

/**
 * Keeps a list's entries in step with the approvals. Entries that stay are not touched, so that the focus stays too.
 * @param {HTMLUListElement} list
 */
export function createList(list) {
  /** @type {Map<string, Item>} */
  const items = new Map()
  /** @param {Approval[]} approvals @param {import('./route.js').Route} route */
  return (approvals, route) => {
    const ids = new Set(approvals.map(({ approval_id }) => approval_id))
    for (const [id, { node }] of items) {
      if (ids.has(id)) continue
      node.remove()
      items.delete(id)
    }
    let next = list.firstElementChild
    for (const approval of approvals) {
      const item = items.get(approval.approval_id) ?? createItem(approval)
      items.set(approval.approval_id, item)
      update(item, approval, route)
      if (item.node === next) next = next.nextElementSibling
      else list.insertBefore(item.node, next)
    }
    list.removeAttribute('aria-busy')
  }
}

/** @param {Approval} approval @returns {Item} */
function createItem({ tool, args, risk }) {
  const status = h('span', { class: 'badge' })
  const when = h('span', { class: 'when' })
  const isRisky = risk === 'high' || risk === 'critical'
  const head = h(
    'span',
    { class: 'item-head' },
    h('b', {}, revealed(tool)),
    isRisky && riskBadge(risk),
    status,
    when,
  )
  const summary = h('span', { class: 'summary' }, revealed(summaryOf(tool, args).slice(0, SUMMARY_LENGTH)))
  const link = h('a', {}, head, summary)
  return { node: h('li', {}, link), link, status, when }
}

/** @param {Item} item @param {Approval} approval @param {import('./route.js').Route} route */
function update({ link, status, when }, approval, route) {
  link.href = hashOf({ ...route, id: approval.approval_id })
  if (approval.approval_id === route.id) link.setAttribute('aria-current', 'true')
  else link.removeAttribute('aria-current')
  setText(status, STATUS_WORDS[approval.status])
  status.className = `badge ${approval.status}`
  status.hidden = route.status !== ''
  const { expires_at } = approval
  const soon = approval.status === 'pending' && expires_at !== null && isSoon(expires_at)
  setText(when, soon ? `expires ${until(expires_at)}` : ago(approval.created_at))
  when.classList.toggle('soon', soon)
}
