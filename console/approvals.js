// @ts-check
import { getApproval, listApprovals, Refusal } from './api.js'
import { summaryOf } from './call.js'
import { createDetail } from './detail.js'
import { h, setText } from './element.js'
import { forgetKey, keyForm, keyOfTab } from './key.js'
import { createList } from './list.js'
import { hashOf, readRoute } from './route.js'
import { moment } from './when.js'

/** @typedef {import('./api.js').Approval} Approval */

const POLL_MS = 2_500
/** While the run that a decision let go on has not ended. */
const FOLLOW_MS = 700
/** In a tab that nobody looks at, for the number in its title. */
const HIDDEN_POLL_MS = 30_000
const PAGE = 50
/** As in style.css: from here on, list and details stand side by side. */
const WIDE = matchMedia('(min-width: 860px)')

const list = the('list', HTMLUListElement)
const empty = the('empty', HTMLElement)
const more = the('more', HTMLButtonElement)
const detailPane = the('detail', HTMLElement)
const filter = the('filter', HTMLSelectElement)
const offline = the('offline', HTMLElement)
const news = the('news', HTMLElement)
const panes = the('panes', HTMLElement)
const door = the('door', HTMLElement)
const principal = the('principal', HTMLElement)
const showList = createList(list)

let route = readRoute()
let limit = PAGE
/** @type {import('./detail.js').Detail | null} */
let detail = null
/** An id that the server does not know; asked for again only when it is chosen again. @type {string | null} */
let unknown = null
/** @type {Set<string> | null} */
let announced = null
let lastAnswer = new Date()
let current = new AbortController()
let timer = 0

/** Fetches and shows everything anew. A newer call ends an older one, so that no old answer is shown after a decision. */
async function refresh() {
  clearTimeout(timer)
  current.abort()
  const { signal } = (current = new AbortController())
  try {
    const { items, total } = await listApprovals({ status: route.status, limit }, signal)
    const waiting =
      route.status === 'pending'
        ? { items, total }
        : await listApprovals({ status: 'pending', limit: PAGE }, signal)
    letIn()
    drawList(items, total)
    tell(waiting)
    if (WIDE.matches && route.id === null && detail === null && items[0]) choose(items[0].approval_id)
    await refreshDetail(items, signal)
    lastAnswer = new Date()
    offline.hidden = true
  } catch (error) {
    if (signal.aborted) return
    if (error instanceof Refusal && error.status === 401) return askForKey(error.message)
    setText(offline, wordsOf(error))
    offline.hidden = false
  }
  if (signal.aborted) return
  timer = window.setTimeout(refresh, pause())
}

/** Nothing of what was shown to somebody else stays. @param {string} why */
function askForKey(why) {
  if (!door.hidden && keyOfTab() === null) return
  panes.hidden = true
  detail = null
  announced = null
  showList([], route)
  detailPane.replaceChildren()
  setText(principal, '')
  door.hidden = false
  door.replaceChildren(keyForm(why, () => void refresh()))
  door.querySelector('input')?.focus()
}

function letIn() {
  if (panes.hidden) {
    door.replaceChildren()
    door.hidden = true
    panes.hidden = false
    follow()
  }
  const leave = () => {
    forgetKey()
    void refresh()
  }
  const alone = 'No keys are configured: whoever reaches this page decides as local.'
  if (keyOfTab() === null) principal.replaceChildren(h('span', { title: alone }, 'as ', h('b', {}, 'local')))
  else if (principal.querySelector('button') === null)
    principal.replaceChildren(h('button', { type: 'button', class: 'quiet', click: leave }, 'Leave'))
}

function pause() {
  if (document.visibilityState !== 'visible') return HIDDEN_POLL_MS
  return detail?.isFollowing() ? FOLLOW_MS : POLL_MS
}

/** @param {Approval[]} items @param {number} total */
function drawList(items, total) {
  showList(items, route)
  more.hidden = items.length >= total
  setText(more, `Show more (${total - items.length})`)
  empty.hidden = items.length > 0
  if (items.length === 0 && empty.dataset['status'] !== route.status) {
    empty.dataset['status'] = route.status
    empty.replaceChildren(...nothing(route.status))
  }
}

/** @param {import('./route.js').Route['status']} status */
function nothing(status) {
  if (status !== 'pending' && status !== '') return [h('p', {}, 'No approval has this state.')]
  return [
    h('p', {}, h('b', {}, status === '' ? 'No agent has asked for anything yet.' : 'Nothing waits for you.')),
    h('p', {}, 'To see one, run this in the project:'),
    h('pre', {}, 'npm run demo'),
    h('p', {}, 'Its agent stops before it sends mail, and the call appears here.'),
  ]
}

/** Says to those who cannot see the list, or this tab, what is new. @param {{ items: Approval[], total: number }} waiting */
function tell({ items, total }) {
  document.title = total > 0 ? `(${total}) Approvals · Holdpoint` : 'Approvals · Holdpoint'
  const fresh = items.filter(({ approval_id }) => announced !== null && !announced.has(approval_id))
  announced = new Set([...(announced ?? []), ...items.map(({ approval_id }) => approval_id)])
  const [first] = fresh
  if (first === undefined) return
  setText(
    news,
    fresh.length > 1
      ? `${fresh.length} new approvals wait.`
      : `New: ${first.tool}, ${summaryOf(first.tool, first.args).slice(0, 120)}`,
  )
}

/** @param {Approval[]} items @param {AbortSignal} signal */
async function refreshDetail(items, signal) {
  const { id } = route
  document.body.classList.toggle('has-choice', id !== null)
  if (id === null || id === unknown) return
  try {
    const approval = items.find(({ approval_id }) => approval_id === id) ?? (await getApproval(id, signal))
    if (detail?.id === id) detail.update(approval)
    else openDetail(approval)
    await detail?.refresh(signal)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    unknown = id
    showInDetail(h('p', { class: 'placeholder' }, error.message))
  }
}

/** @param {Approval} approval */
function openDetail(approval) {
  const opened = (detail = createDetail(approval, { decided: () => void refresh() }))
  const chosenByHand = detailPane.dataset['chosen'] === approval.approval_id
  showInDetail(opened.node)
  if (chosenByHand) opened.heading.focus({ preventScroll: true })
}

/** @param {HTMLElement} node */
function showInDetail(node) {
  const back = h('a', { class: 'back', href: hashOf({ ...route, id: null }) }, '‹ All approvals')
  detailPane.replaceChildren(back, node)
}

/** Shows one without a new entry in the history: nobody has asked for it by hand. @param {string} id */
function choose(id) {
  history.replaceState(null, '', hashOf({ ...route, id }))
  route = readRoute()
  list.querySelector('a')?.setAttribute('aria-current', 'true')
}

function follow() {
  route = readRoute()
  unknown = null
  filter.value = route.status
  detailPane.dataset['chosen'] = route.id ?? ''
  document.body.classList.toggle('has-choice', route.id !== null)
  if (detail?.id !== route.id) {
    detail = null
    detailPane.replaceChildren(
      h('p', { class: 'placeholder' }, route.id === null ? 'Choose an approval.' : 'Loading…'),
    )
  }
  window.scrollTo(0, 0)
  void refresh()
}

/** @template {HTMLElement} Kind @param {string} id @param {new () => Kind} kind @returns {Kind} */
function the(id, kind) {
  const element = document.getElementById(id)
  if (element instanceof kind) return element
  throw new Error(`The page has no ${kind.name} #${id}.`)
}

/** @param {unknown} error */
function wordsOf(error) {
  if (error instanceof Refusal) return error.message
  return `The server does not answer. What you see is from ${moment(lastAnswer.toISOString())}; trying again.`
}

filter.addEventListener('change', () => {
  const status = /** @type {import('./route.js').Route['status']} */ (filter.value)
  limit = PAGE
  location.hash = hashOf({ ...route, status })
})
more.addEventListener('click', () => {
  limit = Math.min(1_000, limit + PAGE)
  void refresh()
})
window.addEventListener('hashchange', follow)
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') void refresh()
})
filter.value = route.status
void refresh()
