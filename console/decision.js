// @ts-check
import { decide, Refusal } from './api.js'
import { editorOf, area } from './edit.js'
import { h, revealed, setText } from './element.js'

/**
 * @typedef {import('./api.js').Approval} Approval
 * @typedef {import('./api.js').Decision} Decision
 *
 * @typedef {object} Listener
 * @property {(approval: Approval) => void} decided
 * @property {(words: string) => void} overtaken somebody else was faster; in the server's words
 *
 * @typedef {{ node: HTMLElement, isBusy(): boolean, retire(): HTMLElement | null }} DecisionPanel
 */

const WORDS = {
  tool: { approve: 'Approve', reject: 'Reject', respond: 'Answer instead' },
  in_doubt: { approve: 'It did not happen: run it', reject: 'Skip it', respond: 'It happened' },
}

/**
 * The buttons and the forms behind them. A form that was left keeps its text until the approval is decided.
 * @param {Approval} approval
 * @param {Listener} listener
 * @returns {DecisionPanel}
 */
export function decisionPanel(approval, listener) {
  const problem = h('p', { class: 'problem', role: 'alert' })
  const node = h('div', { class: 'decision' })
  let busy = false

  /** @param {() => Decision} make */
  async function send(make) {
    if (busy) return
    setText(problem, '')
    setBusy(true)
    const [decided, error] = await attempt(async () => await decide(approval.approval_id, make()))
    setBusy(false)
    if (decided !== undefined) listener.decided(decided)
    else if (error instanceof Refusal && error.status === 409) listener.overtaken(error.message)
    else setText(problem, wordsOf(error))
  }

  /** Not `disabled`: that would take the focus away, and with it a keyboard's place. @param {boolean} value */
  function setBusy(value) {
    busy = value
    node.setAttribute('aria-busy', String(value))
    for (const button of node.querySelectorAll('button')) button.setAttribute('aria-disabled', String(value))
  }

  /** @param {HTMLElement} view @param {HTMLElement | null} focus */
  function show(view, focus) {
    setText(problem, '')
    node.replaceChildren(view)
    view.querySelector('.buttons')?.before(problem)
    focus?.focus()
  }

  const forms = formsFor(approval, send, () => show(bar, bar.querySelector('button')))
  const doubt = approval.kind === 'in_doubt'
  const words = doubt ? WORDS.in_doubt : WORDS.tool
  const { may, why_not } = approval.you
  const bar = h(
    'div',
    { class: 'bar' },
    h(
      'div',
      { class: 'buttons' },
      may.includes('approve') &&
        h(
          'button',
          { type: 'button', class: 'approve', click: () => void send(() => approvalOf(approval)) },
          words.approve,
        ),
      may.includes('approve') && opener('With a comment', forms.approve, 'quiet'),
      // What may have happened already cannot be changed any more, nor what was approved before.
      !doubt && approval.replaces === null && may.includes('edit') && opener('Edit', forms.edit),
      may.includes('reject') && opener(words.reject, forms.reject, 'reject'),
      may.includes('respond') && opener(words.respond, forms.respond, 'quiet'),
    ),
    why_not === null ? null : h('p', { class: 'hint', role: 'note' }, revealed(why_not)),
  )

  /** @param {string} label @param {HTMLElement} form @param {string} [look] */
  function opener(label, form, look) {
    const open = () => show(form, form.querySelector('input, textarea'))
    return h('button', { type: 'button', class: look, click: open }, label)
  }

  show(bar, null)
  return {
    node,
    isBusy: () => busy,
    /** What was being written when somebody else decided, to be read and copied, not sent. */
    retire() {
      const form = node.querySelector('form')
      if (form === null) return null
      for (const field of form.querySelectorAll('input, textarea')) field.setAttribute('readonly', '')
      form.querySelector('.buttons')?.remove()
      form.prepend(h('p', { class: 'hint' }, 'What you were writing was not sent.'))
      return form
    },
  }
}

/**
 * @param {Approval} approval
 * @param {(make: () => Decision) => Promise<void>} send
 * @param {() => void} back
 */
function formsFor(approval, send, back) {
  const alone = approval.self_approval
  const editor = editorOf(approval.tool, approval.proposal?.args ?? approval.args, approval.args_schema)
  const before = JSON.stringify(editor.read())
  const reason = area('Why not? The agent reads it', '', 3)
  const meaning = approval.kind === 'in_doubt' ? 'which happened' : 'which does not run'
  const remark = area('What others read beside your approval', '', 3)
  const answer = area(`What the agent gets as the result of ${approval.tool}, ${meaning}`, '', 4)
  return {
    approve: form('Approve', [remark.node], 'Approve with this comment', 'approve', () => ({
      ...approvalOf(approval),
      ...(remark.value().trim() === '' ? {} : { message: remark.value().trim() }),
    })),
    edit: form(
      'Edit',
      editor.nodes,
      alone ? 'Approve with these changes' : 'Propose these changes',
      'approve',
      () => {
        const args = editor.read()
        if (JSON.stringify(args) === before)
          throw new Error('Nothing is changed yet. To run the call as it is, go back and approve it.')
        return { type: 'edit', args }
      },
    ),
    reject: form('Reject', [reason.node], 'Reject', 'reject', () => ({
      type: 'reject',
      ...(reason.value().trim() === '' ? {} : { message: reason.value().trim() }),
    })),
    respond: form('Answer instead', [answer.node], 'Send this answer', '', () => {
      if (answer.value().trim() === '') throw new Error('Write the answer first.')
      return { type: 'respond', message: answer.value() }
    }),
  }

  /** @param {string} name @param {HTMLElement[]} fields @param {string} label @param {string} look @param {() => Decision} make */
  function form(name, fields, label, look, make) {
    /** @param {Event} event */
    const submit = (event) => {
      event.preventDefault()
      void send(make)
    }
    return h(
      'form',
      { 'aria-label': name, novalidate: true, submit },
      ...fields,
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'submit', class: look || null }, label),
        h('button', { type: 'button', class: 'quiet', click: back }, 'Back'),
      ),
    )
  }
}

/** Of what is shown, and of nothing else. @param {Approval} approval @returns {Decision} */
function approvalOf({ args_hash, proposal }) {
  return { type: 'approve', args_hash: proposal?.args_hash ?? args_hash }
}

/** @template T @param {() => Promise<T>} work @returns {Promise<[T, undefined] | [undefined, unknown]>} */
async function attempt(work) {
  try {
    return [await work(), undefined]
  } catch (error) {
    return [undefined, error]
  }
}

/** @param {unknown} error */
function wordsOf(error) {
  if (error instanceof TypeError) {
    return 'The server did not answer. Whether the decision arrived shows here as soon as it does.'
  }
  return error instanceof Error ? error.message : String(error)
}
