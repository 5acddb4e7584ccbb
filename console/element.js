// @ts-check

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * Makes an element. Text becomes text nodes and attributes are set as such: what a model or a user wrote is shown,
 * and never parsed.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | boolean | null | undefined | ((event: Event) => void)>} [attributes] functions listen to the event of that name
 * @param {(Child | Child[])[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value)
    else if (value === true) element.setAttribute(name, '')
    else if (value !== false && value != null) element.setAttribute(name, value)
  }
  for (const child of children.flat())
    if (child !== null && child !== undefined && child !== false) element.append(child)
  return element
}

/**
 * Changes text only if it differs, so that a selection in it survives.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** Controls and format characters, apart from line breaks, tabs and the joiners that emoji and some scripts need. */
const HIDDEN = /((?!\n|\t|\r\n|\u200c|\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}])/u

/**
 * Text in which nothing hides: a character that has no look of its own, or turns the direction of what follows, is
 * shown as its code point. Otherwise "what was approved" could look like something else.
 * @param {string} text
 * @returns {Child[]}
 */
export function revealed(text) {
  return text.split(HIDDEN).map((part, index) => {
    if (index % 2 === 0) return part
    const code = `U+${(part.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
    return h('span', { class: 'hidden-character', title: 'A character that cannot be seen' }, code)
  })
}
