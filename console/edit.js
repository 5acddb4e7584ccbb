// @ts-check
import { addresses, isMail, jsonOf } from './call.js'
import { h, revealed } from './element.js'
import { schemaText } from './schema-text.js'

/**
 * Fields for a call's arguments. `read()` throws, with what to do, where they make no arguments. What nobody touched
 * comes back as it was.
 * @typedef {{ nodes: HTMLElement[], read(): import('./api.js').Args }} Editor
 */

/**
 * @param {string} tool
 * @param {import('./api.js').Args} args
 * @param {import('./schema-text.js').Schema | null} schema what the tool takes
 * @returns {Editor}
 */
export function editorOf(tool, args, schema) {
  return isMail(tool, args) ? mailEditor(args) : jsonEditor(tool, args, schema)
}

/** @param {import('./api.js').Args & import('./call.js').Mail} mail @returns {Editor} */
function mailEditor(mail) {
  const to = line('To', addresses(mail.to), 'Several addresses: with commas between them.')
  const cc = line('Cc', addresses(mail.cc ?? []))
  const subject = line('Subject', mail.subject)
  const body = area('Body', mail.body, Math.min(24, Math.max(8, mail.body.split('\n').length + 1)), {
    code: true,
    words: true,
  })
  return {
    nodes: [to.node, cc.node, subject.node, body.node],
    read() {
      const { cc: _, ...others } = mail
      const copies = cc.isTouched() ? listOf(cc.value()) : mail.cc
      return {
        ...others,
        to: to.isTouched() ? listOf(to.value()) : mail.to,
        ...(copies === undefined || copies.length === 0 ? {} : { cc: copies }),
        subject: subject.isTouched() ? subject.value() : mail.subject,
        body: body.isTouched() ? body.value() : mail.body,
      }
    },
  }
}

/**
 * @param {string} tool
 * @param {import('./api.js').Args} args
 * @param {import('./schema-text.js').Schema | null} schema
 * @returns {Editor}
 */
function jsonEditor(tool, args, schema) {
  const text = jsonOf(args)
  const json = area('Arguments, as JSON', text, Math.min(30, Math.max(6, text.split('\n').length + 1)), {
    code: true,
    words: false,
  })
  return {
    nodes: schema === null ? [json.node] : [json.node, taken(tool, schema)],
    read() {
      /** @type {unknown} */
      let value
      try {
        value = JSON.parse(json.value())
      } catch (error) {
        throw new Error(`This is not JSON. ${error instanceof Error ? error.message : ''}`)
      }
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
        return /** @type {import('./api.js').Args} */ (value)
      }
      throw new Error('The arguments must be a JSON object: { … }.')
    },
  }
}

/** @param {string} tool @param {import('./schema-text.js').Schema} schema */
function taken(tool, schema) {
  return h(
    'details',
    { class: 'taken' },
    h('summary', {}, 'What ', h('code', {}, revealed(tool)), ' takes'),
    h('pre', { class: 'json', tabindex: '0', dir: 'auto' }, revealed(schemaText(schema))),
  )
}

/** One address stays a text, as models write it. @param {string} text */
function listOf(text) {
  const list = text
    .split(/[,;]/)
    .map((part) => part.trim())
    .filter((part) => part !== '')
  return list.length === 1 ? (list[0] ?? '') : list
}

/** @param {string} label @param {string} value @param {string} [hint] */
function line(label, value, hint) {
  return field(
    label,
    h('input', { value, autocomplete: 'off', spellcheck: label === 'Subject' ? 'true' : 'false' }),
    hint,
  )
}

/**
 * @param {string} label
 * @param {string} value
 * @param {number} rows
 * @param {{ code: boolean, words: boolean }} [look] `code`: every character as wide; `words`: the spelling is checked
 */
export function area(label, value, rows, { code, words } = { code: false, words: true }) {
  const input = h('textarea', {
    rows: String(rows),
    class: code ? 'code' : null,
    spellcheck: String(words),
    dir: 'auto',
  })
  input.defaultValue = value
  return field(label, input)
}

/** @param {string} label @param {HTMLInputElement | HTMLTextAreaElement} input @param {string} [hint] */
function field(label, input, hint) {
  // A browser rewrites line breaks, so a value is compared with what the field made of it.
  const initial = input.value
  return {
    node: h('label', { class: 'field' }, h('span', {}, label), input, hint ? h('small', {}, hint) : null),
    value: () => input.value,
    isTouched: () => input.value !== initial,
  }
}
