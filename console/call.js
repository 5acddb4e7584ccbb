// @ts-check
import { h, revealed } from './element.js'

/**
 * What a call would do, as people read it: mail as mail, everything else as its arguments.
 * @typedef {import('./api.js').Args} Args
 * @typedef {{ from?: string, to: string | string[], cc?: string | string[], subject: string, body: string }} Mail
 */

/** The call in a line. @param {string} tool @param {Args} args */
export function summaryOf(tool, args) {
  return isMail(tool, args) ? `${args.subject} → ${addresses(args.to)}` : JSON.stringify(args)
}

/** The whole call, nothing left out. @param {string} tool @param {Args} args */
export function previewOf(tool, args) {
  return isMail(tool, args) ? mailOf(args) : argsOf(args)
}

/** @param {Args} args */
export function argsOf(args) {
  return h('pre', { class: 'json', tabindex: '0' }, revealed(jsonOf(args)))
}

/** @param {unknown} args */
export function jsonOf(args) {
  return JSON.stringify(args, null, 2)
}

/**
 * Only arguments of exactly this shape: a field that the preview does not show must not hide behind it.
 * @param {string} tool
 * @param {Args} args
 * @returns {args is Args & Mail}
 */
export function isMail(tool, args) {
  const { to, cc, subject, body, ...others } = args
  return (
    tool === 'send_email' &&
    isAddresses(to) &&
    (cc === undefined || isAddresses(cc)) &&
    typeof subject === 'string' &&
    typeof body === 'string' &&
    Object.keys(others).length === 0
  )
}

/** @param {string | string[]} list */
export function addresses(list) {
  return [list].flat().join(', ')
}

/** @param {unknown} value @returns {value is string | string[]} */
function isAddresses(value) {
  return [value].flat().every((one) => typeof one === 'string')
}

/** @param {Mail} mail */
export function mailOf({ from, to, cc, subject, body }) {
  return h(
    'article',
    { class: 'mail', 'aria-label': 'The mail' },
    h(
      'dl',
      {},
      from === undefined ? null : field('From', from),
      field('To', addresses(to)),
      cc === undefined ? null : field('Cc', addresses(cc)),
      field('Subject', subject),
    ),
    h('pre', { dir: 'auto' }, revealed(body)),
  )
}

/** @param {string} name @param {string} value */
function field(name, value) {
  return h(
    'div',
    { class: `mail-${name.toLowerCase()}` },
    h('dt', {}, name),
    h('dd', { dir: 'auto' }, revealed(value)),
  )
}
