// @ts-check
import { argsOf, isMail, mailOf, previewOf } from './call.js'
import { h, revealed } from './element.js'

/**
 * @typedef {import('./api.js').Approval} Approval
 * @typedef {NonNullable<Approval['preview']>} Preview
 */

/**
 * What a call would do as its tool says, and beneath it the arguments, with nothing left out; without such a preview
 * the call alone.
 * @param {Pick<Approval, 'tool' | 'args' | 'preview' | 'no_preview'>} approval
 */
export function shownOf({ tool, args, preview, no_preview: why }) {
  if (preview === null) {
    const none = why !== null && h('p', { class: 'hint' }, 'There is no preview: ', revealed(why), '.')
    return h('div', { class: 'shown' }, none, previewOf(tool, args))
  }
  const repeated = preview.kind === 'mail' && isMail(tool, args)
  return h('div', { class: 'shown' }, nodeOf(preview), !repeated && details(args))
}

/** @param {Preview} preview */
function nodeOf(preview) {
  switch (preview.kind) {
    case 'mail': {
      const { from, to, cc, subject, text } = preview
      return mailOf({ from, to, ...(cc.length > 0 ? { cc } : {}), subject, body: text })
    }
    case 'diff':
      return diff(preview)
    case 'table':
      return table(preview)
    case 'text':
      return h('pre', { class: 'json', tabindex: '0', dir: 'auto' }, revealed(preview.text))
  }
}

/** @param {Extract<Preview, { kind: 'diff' }>} preview */
function diff({ path, before, text }) {
  const words = before === null ? 'A new file: ' : 'Changes '
  const lines = text === '' ? ['Nothing changes.'] : text.split('\n')
  return h(
    'section',
    { class: 'diff', 'aria-label': 'What it changes' },
    h('p', {}, words, h('code', {}, revealed(path))),
    h(
      'pre',
      { tabindex: '0' },
      ...lines.map((line) => h('span', { class: kindOf(line) }, revealed(`${line}\n`))),
    ),
  )
}

/** @param {string} line */
function kindOf(line) {
  if (line.startsWith('@@')) return 'place'
  return line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : 'kept'
}

/** @param {Extract<Preview, { kind: 'table' }>} preview */
function table({ columns, rows }) {
  return h(
    'div',
    { class: 'table', tabindex: '0', role: 'region', 'aria-label': 'What it would do' },
    h(
      'table',
      {},
      h('thead', {}, h('tr', {}, ...columns.map((name) => h('th', { scope: 'col' }, revealed(name))))),
      h('tbody', {}, ...rows.map((row) => h('tr', {}, ...row.map((cell) => h('td', {}, revealed(cell)))))),
    ),
  )
}

/** @param {import('./api.js').Args} args */
function details(args) {
  return h('details', {}, h('summary', {}, 'The arguments of the call'), argsOf(args))
}
