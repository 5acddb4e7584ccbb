// @ts-check
import { curlOf, startingCommands } from './curl.js'
import { h, setText } from './element.js'
import { limitsOf, schemaText } from './schema-text.js'

/**
 * @typedef {import('./curl.js').Operation} Operation
 * @typedef {import('./curl.js').Content} Content
 * @typedef {{ info: { version: string, description: string }, paths: Record<string, Record<string, Operation>> }} OpenApi
 * @typedef {{ tag: string, node: HTMLDetailsElement, words: string }} Entry
 */

const SIMPLEST_ASSISTANT = 'react'

const [{ info, paths }, assistant] = await Promise.all([describe(), anAssistant()])
const entries = Object.entries(paths).flatMap(([path, operations]) =>
  Object.entries(operations).map(([method, operation]) => entryOf(method, path, operation)),
)
const groups = Map.groupBy(entries, ({ tag }) => tag)
const sections = new Map([...groups].map(([tag, members]) => [tag, sectionOf(tag, members)]))

setText(the('about'), `Holdpoint ${info.version}. ${info.description}`)
setText(the('start'), startingCommands(location.origin, assistant))
the('tags').append(...[...groups.keys()].map((tag) => h('a', { href: `#${tag}` }, tag)))
the('operations').append(...sections.values())
the('search').addEventListener('input', search)
window.addEventListener('hashchange', openNamed)
search()
openNamed()

/** @returns {Promise<OpenApi>} */
async function describe() {
  const response = await fetch('/openapi.json')
  if (!response.ok) {
    setText(the('count'), `The description could not be read: the server answered ${response.status}.`)
    throw new Error(`/openapi.json: ${response.status}`)
  }
  return await response.json()
}

/** One that this server has, so that the examples work on it. */
async function anAssistant() {
  try {
    const response = await fetch('/assistants/search', { method: 'POST' })
    const all = response.ok ? /** @type {{ graph_id: string }[]} */ (await response.json()) : []
    const ids = all.map(({ graph_id }) => graph_id)
    return ids.includes(SIMPLEST_ASSISTANT) ? SIMPLEST_ASSISTANT : (ids[0] ?? SIMPLEST_ASSISTANT)
  } catch {
    return SIMPLEST_ASSISTANT
  }
}

/** @param {string} method @param {string} path @param {Operation} operation @returns {Entry} */
function entryOf(method, path, operation) {
  const { operationId, summary, tags } = operation
  const head = h(
    'summary',
    {},
    h('span', { class: `method ${method}` }, method.toUpperCase()),
    h('code', {}, path),
    h('span', { class: 'operation-summary' }, summary),
  )
  const node = h('details', { class: 'operation', id: operationId }, head)
  // The body is made when it is first opened: few of them are.
  node.addEventListener('toggle', () => {
    if (!node.open) return
    if (node.childElementCount === 1) node.append(bodyOf(method, path, operation))
    history.replaceState(null, '', `#${operationId}`)
  })
  return {
    tag: tags[0] ?? 'Other',
    node,
    words: `${method} ${path} ${summary} ${tags.join(' ')}`.toLowerCase(),
  }
}

/** @param {string} tag @param {Entry[]} members */
function sectionOf(tag, members) {
  return h(
    'section',
    { class: 'group', id: tag },
    h('h2', {}, tag),
    members.map(({ node }) => node),
  )
}

/** @param {string} method @param {string} path @param {Operation} operation */
function bodyOf(method, path, operation) {
  const { parameters = [], requestBody, responses } = operation
  return h(
    'div',
    { class: 'operation-body' },
    parameters.length > 0 && [h('h3', {}, 'Parameters'), parametersTable(parameters)],
    requestBody && [
      h('h3', {}, requestBody.required ? 'Body' : 'Body, optional'),
      ...Object.entries(requestBody.content).map(([type, { schema }]) => typed(type, schema)),
    ],
    h('h3', {}, 'Answers'),
    h(
      'ul',
      { class: 'answers' },
      Object.entries(responses).map(([status, answer]) => h('li', {}, answerOf(status, answer))),
    ),
    h('h3', {}, 'Example'),
    command(curlOf(location.origin, method, path, operation, assistant)),
  )
}

/** @param {import('./curl.js').Parameter[]} parameters */
function parametersTable(parameters) {
  return h(
    'dl',
    { class: 'parameters' },
    parameters.map(({ name, in: place, required, schema }) =>
      h(
        'div',
        {},
        h('dt', {}, h('code', {}, name), h('small', {}, required ? place : `${place}, optional`)),
        h('dd', {}, h('code', {}, schemaText(schema)), ' ', h('small', {}, limitsOf(schema))),
      ),
    ),
  )
}

/** @param {string} status @param {{ description: string, content?: Content }} answer */
function answerOf(status, { description, content }) {
  const title = [h('b', { class: status.startsWith('2') ? 'fine' : 'refused' }, status), ' ', description]
  const [typedContent] = Object.entries(content ?? {})
  if (!typedContent) return h('p', {}, title)
  const [type, { schema }] = typedContent
  return h('details', {}, h('summary', {}, title), typed(type, schema))
}

/** @param {string} type @param {import('./schema-text.js').Schema | undefined} schema */
function typed(type, schema) {
  const shown = type === 'application/json' && schema ? schemaText(schema) : type
  return h('pre', { class: 'schema', tabindex: '0' }, shown)
}

/** @param {string} text */
function command(text) {
  const copy = h('button', { type: 'button', class: 'copy' }, 'Copy')
  copy.addEventListener('click', () => {
    navigator.clipboard.writeText(text).then(
      () => setText(copy, 'Copied'),
      () => setText(copy, 'Select it by hand'),
    )
  })
  return h('div', { class: 'command-box' }, h('pre', { class: 'command', tabindex: '0' }, text), copy)
}

function search() {
  const words = /** @type {HTMLInputElement} */ (the('search')).value
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
  let found = 0
  for (const entry of entries) {
    entry.node.hidden = !words.every((word) => entry.words.includes(word))
    if (!entry.node.hidden) found++
  }
  for (const [tag, section] of sections)
    section.hidden = (groups.get(tag) ?? []).every(({ node }) => node.hidden)
  setText(
    the('count'),
    found === entries.length ? `${found} operations` : `${found} of ${entries.length} operations`,
  )
}

function openNamed() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)))
  if (target instanceof HTMLDetailsElement) target.open = true
  target?.scrollIntoView()
}

/** @param {string} id */
function the(id) {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`The page has no #${id}.`)
  return element
}
