import { html } from 'hono/html'
import type { DecisionLink, LinkDecision } from '../runtime/decision-link.ts'
import type { Hold } from '../runtime/hold.ts'
import type { Json } from '../runtime/json.ts'

/** As of the console's pages, with a form that goes here alone. The address is a secret: it is kept and told nowhere. */
export const LINK_HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
  'X-Robots-Tag': 'noindex',
}

export type Fragment = ReturnType<typeof html>

interface Shown {
  link: DecisionLink
  hold: Hold
  you: { identity: string; may: string[]; why_not: string | null }
  /** The word that was just said. */
  said?: LinkDecision
}

const WORDS = {
  tool: { approve: 'Approve', reject: 'Reject' },
  in_doubt: { approve: 'It did not happen: run it', reject: 'Skip it' },
}
const LONGEST_MESSAGE = 20_000

/** The call and, while it waits, the form. It works without a script. */
export function linkPage({ link, hold, you, said }: Shown): Fragment {
  const { tool, proposal, rule, reason, risk, requested_by, graph_id: graph, kind } = hold
  const question = kind === 'in_doubt' ? 'Did this happen?' : 'May this run?'
  return page(
    `Approval of ${tool}`,
    html`<h1>
        ${hold.status === 'pending' && said === undefined ? question : 'Approval of'}
        <code>${revealed(tool)}</code>
      </h1>
      <p>${revealed(reason)}</p>
      ${said === undefined ? '' : outcome(hold, said)}
      <dl class="facts">
        <div>
          <dt>Asked by</dt>
          <dd>
            ${revealed(graph)}${requested_by.length === 0 ? '' : html`, for ${revealed(requested_by.join(', '))}`}
          </dd>
        </div>
        <div>
          <dt>Risk</dt>
          <dd>${revealed(risk)}</dd>
        </div>
        <div>
          <dt>Rule</dt>
          <dd>${rule === null ? 'the tool’s own risk' : revealed(rule)}</dd>
        </div>
        <div>
          <dt>So far</dt>
          <dd>${soFar(hold)}</dd>
        </div>
        <div>
          <dt>You are</dt>
          <dd><b>${revealed(you.identity)}</b></dd>
        </div>
      </dl>
      ${proposal === null ? '' : html`<p class="problem">${revealed(proposal.by)} has edited the arguments. What is approved is this:</p>`}
      ${callOf(hold)} ${said === undefined ? choice(link, hold, you) : ''}`,
  )
}

export function refusalPage(why: string): Fragment {
  return page(
    'Approval',
    html`<h1>Nothing was changed</h1>
      <p class="problem" role="alert">${revealed(why)}</p>`,
  )
}

function soFar({ votes, needs: { approvers, seniors } }: Hold): Fragment {
  const ofThem = seniors === 0 ? '' : `; ${seniors} must be by seniors`
  const by = votes.length === 0 ? '' : html` (${revealed(votes.map((vote) => vote.by).join(', '))})`
  return html`${votes.length} of ${approvers} approvals${by}${ofThem}`
}

function outcome({ status, tool, kind }: Hold, said: LinkDecision): Fragment {
  const done =
    status === 'pending'
      ? 'Your approval counts. It waits for others.'
      : said === 'approve'
        ? `Approved. ${tool} runs.`
        : kind === 'in_doubt'
          ? `Skipped. ${tool} is not run again.`
          : `Rejected. ${tool} does not run.`
  return html`<p class="outcome" role="status">${revealed(done)}</p>`
}

function choice(link: DecisionLink, hold: Hold, { may, why_not: whyNot }: Shown['you']): Fragment {
  if (hold.status !== 'pending')
    return html`<p class="problem" role="status">
      This is already ${hold.status}. There is nothing to decide.
    </p>`
  const words = WORDS[hold.kind]
  const offered = (['approve', 'reject'] as const).filter(
    (type) => may.includes(type) && (link.decision ?? type) === type,
  )
  if (offered.length === 0)
    return html`<p class="problem">${revealed(whyNot ?? `This link is to ${link.decision} alone.`)}</p>`
  return html`<form method="post">
      <input type="hidden" name="args_hash" value="${hold.proposal?.args_hash ?? hold.args_hash}" />
      <label class="field">
        <span
          >${offered.includes('reject') ? 'Why? The agent reads it when you reject' : 'A word with it'}</span
        >
        <textarea name="message" rows="3" maxlength="${LONGEST_MESSAGE}"></textarea>
      </label>
      <div class="buttons">
        ${offered.map((type) => html`<button class="${type}" name="type" value="${type}">${words[type]}</button>`)}
      </div>
    </form>
    <p class="hint">
      This link works once, for ${revealed(link.identity)} alone, until
      <time datetime="${link.expires_at}">${link.expires_at.slice(0, 16).replace('T', ' ')} UTC</time>.
    </p>`
}

/** What the tool says that it would do, and beneath it the arguments. */
function callOf(hold: Hold): Fragment {
  const { args, preview = null, no_preview: why = null } = hold.proposal ?? hold
  if (preview === null)
    return html`${why === null ? '' : html`<p class="hint">There is no preview: ${revealed(why)}.</p>`}
    ${argumentsOf(args)}`
  const { kind: _, ...told } = preview
  return html`${boxes(told, 'What it would do')}
    <details>
      <summary>Arguments</summary>
      ${argumentsOf(args)}
    </details>`
}

/** Nothing left out. Each argument has a box of its own, so that none can look like another. */
function argumentsOf(args: Json): Fragment {
  if (typeof args !== 'object' || args === null || Array.isArray(args))
    return html`<pre class="json">${revealed(JSON.stringify(args, null, 2))}</pre>`
  if (Object.keys(args).length === 0) return html`<p class="hint">It has no arguments.</p>`
  return boxes(args, 'Arguments')
}

function boxes(values: Record<string, Json>, label: string): Fragment {
  return html`<dl class="arguments" aria-label="${label}">
    ${Object.entries(values).map(
      ([name, value]) =>
        html`<div>
          <dt>${revealed(name)}</dt>
          <dd><pre dir="auto">${revealed(textOf(value))}</pre></dd>
        </div>`,
    )}
  </dl>`
}

/** Text as it is, unless it could be taken for another value. */
function textOf(value: Json): string {
  if (typeof value !== 'string' || value.trim() === '' || isJson(value)) return JSON.stringify(value, null, 2)
  return value
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** As in console/element.js: controls and format characters, but line breaks, tabs and joiners. */
const HIDDEN = /((?!\n|\t|\r\n|\u200c|\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}])/u

/** Text in which nothing hides or turns the direction of what follows. */
function revealed(text: string): Fragment[] {
  return text.split(HIDDEN).map((part, index) => {
    if (index % 2 === 0) return html`${part}`
    const code = (part.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
    return html`<span class="hidden-character" title="A character that cannot be seen">U+${code}</span>`
  })
}

function page(title: string, content: Fragment): Fragment {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · Holdpoint</title>
        <link rel="stylesheet" href="/console/style.css" />
        <link rel="stylesheet" href="/console/link.css" />
      </head>
      <body>
        <main>${content}</main>
      </body>
    </html>`
}
