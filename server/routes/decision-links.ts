import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { z } from 'zod'
import { decideHold } from '../../runtime/decide.ts'
import {
  type DecisionLink,
  type DecisionLinks,
  issueLink,
  linkGone,
  openLink,
} from '../../runtime/decision-link.ts'
import { RuntimeError } from '../../runtime/errors.ts'
import type { Decision, Hold } from '../../runtime/hold.ts'
import type { People } from '../../runtime/people.ts'
import type { Clock } from '../../runtime/ports.ts'
import { checkSigned, type EndpointSecrets, type SignedCall } from '../../runtime/signed-callback.ts'
import { type Caller, nameOf } from '../auth.ts'
import { type Endpoint, endpoint, FORM } from '../endpoint.ts'
import { statusOf, tellWhen } from '../errors.ts'
import type { KeyAuthority } from '../keys.ts'
import { type Fragment, LINK_HEADERS, linkPage, refusalPage } from '../link-page.ts'
import { json } from '../reply.ts'
import {
  Approval,
  ApprovalParams,
  DecisionLink as Link,
  LinkBody,
  LinkParams,
  LinkWord,
} from '../schemas/approvals.ts'
import { type ApprovalPorts, checkHold, checkIsJson, shownTo } from './approvals.ts'

export interface LinkPorts extends ApprovalPorts {
  links: DecisionLinks
  people: People
  authority: KeyAuthority
  clock: Clock
  endpointSecrets: EndpointSecrets
  /** Where people reach this server. Unset: as whoever asks for the link does. */
  publicUrl: string | undefined
}

const HTML = { type: 'text/html' }
const NOT_YOURS = { 403: { description: 'It is not theirs to decide: the words say why' } }
const SLOWER = { 429: { description: 'Too many words, or wrong links; Retry-After says when' } }
const GONE = { 410: { description: 'The link was used, has expired, or is not whole; nothing was changed' } }

export function linkRoutes(ports: LinkPorts): Endpoint[] {
  const one = {
    tag: 'Approvals',
    access: 'public',
    path: '/webhooks/approvals/:token',
    params: LinkParams,
  } as const
  return [
    endpoint({
      method: 'post',
      path: '/approvals/:approval_id/links',
      tag: 'Approvals',
      access: 'own',
      summary: 'Make a link by which somebody decides this approval once, without a key',
      params: ApprovalParams,
      body: LinkBody,
      answers: {
        200: { description: 'The link. Its address is told this once', schema: Link },
        ...NOT_YOURS,
        404: { description: 'No such approval' },
        409: { description: 'It is decided already' },
        422: { description: 'Nobody of that name has a key here' },
        ...SLOWER,
      },
      async handle(c, { params, body }, { caller }) {
        checkIsJson(c)
        const hold = await ports.holds.get(params.approval_id)
        if (hold) await checkHold(ports, hold, caller, 'threads:read')
        caller.needs('admin')
        if (caller.studio || caller.person.kind === 'agent')
          throw new RuntimeError('hold_not_yours', 'Links are made by people.')
        ports.limits.word(caller.person)
        const { token, ...link } = await issueLink(ports, {
          approvalId: params.approval_id,
          identity: body.principal,
          decision: body.decision,
          endpointId: body.endpoint,
          expiresInSeconds: body.expires_in,
          by: nameOf(caller),
        })
        c.header('Cache-Control', 'no-store')
        return json(c, { ...link, url: linkUrl(ports.publicUrl ?? new URL(c.req.url).origin, token) })
      },
    }),
    endpoint({
      ...one,
      method: 'get',
      summary: 'The page of a link, for a person. To open it decides nothing',
      answers: { 200: { description: 'The page', ...HTML }, ...NOT_YOURS, ...GONE, ...SLOWER },
      async handle(c, { params }) {
        return await asPage(c, async () => {
          const { link, hold, caller } = await opened(ports, params.token)
          if (link.endpoint_id !== null) throw forPrograms()
          return linkPage({ link, hold, you: shownTo(hold, caller).you })
        })
      },
    }),
    endpoint({
      ...one,
      method: 'post',
      summary: 'Decide by a link: the form of its page, or JSON from a program. It counts once',
      body: LinkWord,
      bodyForm: true,
      answers: {
        200: { description: 'The approval: decided, or pending with the votes so far', schema: Approval },
        401: { description: 'The link wants a signature of its endpoint, and this is none' },
        ...NOT_YOURS,
        409: { description: 'It is decided already, or has changed; the link can still be used' },
        ...GONE,
        ...SLOWER,
        415: { description: 'The body must be application/json, or a form' },
      },
      async handle(c, { params, body }) {
        const decide = async () => {
          const { link, hold, caller } = await opened(ports, params.token)
          const { endpoint_id: endpointId, link_id: linkId } = link
          if (endpointId !== null) await checkSigned(ports, { endpointId, linkId }, await signedCall(c))
          if (link.decision !== null && link.decision !== body.type)
            throw new RuntimeError('hold_not_yours', `This link is to ${link.decision} alone.`)
          ports.limits.word(caller.person)
          const decided = await decideHold(ports, hold.approval_id, wordOf(body), caller.person, link)
          return { link, caller, decided }
        }
        // A form has no signature: whatever it says, it is refused as unsigned.
        if (FORM.test(c.req.header('content-type') ?? ''))
          return await asPage(c, async () => {
            const { link, caller, decided } = await decide()
            return linkPage({ link, hold: decided, you: shownTo(decided, caller).you, said: body.type })
          })
        setHeaders(c)
        checkIsJson(c)
        const { caller, decided } = await decide()
        return json(c, shownTo(decided, caller))
      },
    }),
  ]
}

async function signedCall(c: Context): Promise<SignedCall> {
  return {
    id: c.req.header('webhook-id'),
    timestamp: c.req.header('webhook-timestamp'),
    signature: c.req.header('webhook-signature'),
    body: await c.req.text(),
  }
}

function forPrograms(): RuntimeError {
  return new RuntimeError('hold_not_yours', 'This address is for a program, which signs what it says.')
}

export function linkUrl(base: string, token: string): string {
  return `${base}/webhooks/approvals/${token}`
}

/** Whose link it is, asked as they are now: the way of a decision that comes with a key, but for the key. */
async function opened(
  ports: LinkPorts,
  token: string,
): Promise<{ link: DecisionLink; hold: Hold; caller: Caller }> {
  const link = await openLink(ports, token)
  const hold = await ports.holds.get(link.approval_id)
  const caller = await ports.authority.named(link.identity)
  if (hold === undefined || caller === undefined) throw linkGone()
  await checkHold(ports, hold, caller, 'approvals:decide')
  return { link, hold, caller }
}

function wordOf({ type, message = '', args_hash: seen }: z.output<typeof LinkWord>): Decision {
  return {
    type,
    ...(message.trim() === '' ? {} : { message: message.trim() }),
    ...(seen === undefined ? {} : { args_hash: seen }),
  }
}

/** What keeps a person from it is told on a page, too. */
async function asPage(c: Context, page: () => Promise<Fragment>): Promise<Response> {
  setHeaders(c)
  const show = (status: ContentfulStatusCode, text: Fragment) => c.html(text, status)
  try {
    return show(200, await page())
  } catch (error) {
    if (error instanceof RuntimeError) tellWhen(c, error)
    if (error instanceof RuntimeError) return show(statusOf(error), refusalPage(error.message))
    if (error instanceof HTTPException) return show(error.status, refusalPage(error.message))
    throw error
  }
}

function setHeaders(c: Context): void {
  for (const [name, value] of Object.entries(LINK_HEADERS)) c.header(name, value)
}
