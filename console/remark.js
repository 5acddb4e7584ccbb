// @ts-check
import { comment } from './api.js'
import { area } from './edit.js'
import { h, setText } from './element.js'

/**
 * Something to say beside, which decides nothing. Made once: what is being written outlives whatever others do.
 * @param {string} approvalId
 * @param {(commented: import('./api.js').Approval) => void} said
 */
export function remarkForm(approvalId, said) {
  const problem = h('p', { class: 'problem', role: 'alert' })
  const fields = h('div')
  let text = fresh()
  let busy = false

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault()
    const words = text.value().trim()
    if (busy || words === '') return
    busy = true
    setText(problem, '')
    try {
      said(await comment(approvalId, words))
      text = fresh()
    } catch (error) {
      setText(problem, error instanceof Error ? error.message : String(error))
    }
    busy = false
  }

  function fresh() {
    const field = area('A comment for the others who decide', '', 2)
    fields.replaceChildren(field.node)
    return field
  }

  return h(
    'details',
    { class: 'remark' },
    h('summary', {}, 'Comment'),
    h(
      'form',
      { 'aria-label': 'Comment', novalidate: true, submit: (event) => void submit(event) },
      fields,
      problem,
      h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'quiet' }, 'Add the comment')),
    ),
  )
}
