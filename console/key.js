// @ts-check
import { h, setText } from './element.js'

const NAME = 'holdpoint-key'

/** The key of this tab. It goes with it, and no other tab has it. */
export function keyOfTab() {
  return sessionStorage.getItem(NAME)
}

export function forgetKey() {
  sessionStorage.removeItem(NAME)
}

/**
 * Asks for a key.
 * @param {string} why in the server's words
 * @param {() => void} entered
 */
export function keyForm(why, entered) {
  const field = h('input', {
    type: 'password',
    autocomplete: 'off',
    spellcheck: 'false',
    required: true,
    name: 'key',
  })
  const problem = h('p', { class: 'problem', role: 'alert' }, keyOfTab() === null ? '' : why)
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault()
    const key = field.value.trim()
    // A header takes nothing else, and no key has it.
    if (!/^[\x21-\x7e]+$/.test(key)) return setText(problem, 'This is no key: it begins with hp_.')
    sessionStorage.setItem(NAME, key)
    entered()
  }
  return h(
    'form',
    { class: 'key', 'aria-label': 'Key', submit },
    h('h2', {}, 'This server wants a key'),
    h(
      'p',
      { class: 'hint' },
      'It was shown when it was made: ',
      h('code', {}, 'holdpoint keys create --person NAME --role approver'),
    ),
    h('label', {}, 'Key', field),
    problem,
    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'approve' }, 'Enter')),
    h('p', { class: 'hint' }, 'It stays in this tab and goes with it.'),
  )
}
