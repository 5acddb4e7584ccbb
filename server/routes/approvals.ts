import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'
import { decideHold, findHold } from '../../runtime/decide.ts'
import { restricts } from '../../runtime/allowed.ts'
import { RuntimeError } from '../../runtime/errors.ts'
import type { Decision, Hold } from '../../runtime/hold.ts'
import { hasRole, type Person } from '../../runtime/people.ts'
import type { Holds, Signals, Threads } from '../../runtime/ports.ts'
import { refusalOf } from '../../runtime/quorum.ts'
import type { CheckEdit } from '../../runtime/resume.ts'
import type { AuthEvent, Caller } from '../auth.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import type { RateLimits } from '../rate-limits.ts'
import { json, paged } from '../reply.ts'
import { Approval, ApprovalList, ApprovalParams, CommentBody, DecisionBody } from '../schemas/approvals.ts'

export interface ApprovalPorts {
  holds: Holds
  signals: Signals
  checkEdit: CheckEdit
  threads: Threads
  limits: RateLimits
}

const NOT_FOUND = { 404: { description: 'No such approval' } }
const REFUSED = {
  ...NOT_FOUND,
  403: { description: 'It is not yours to decide: the words say why' },
  409: { description: 'It is decided already, or has changed; nothing was changed' },
  415: { description: 'The body must be application/json' },
  429: { description: 'More than a person says in a minute; Retry-After says when' },
}
const DECISIONS = ['approve', 'edit', 'reject', 'respond'] as const

export function approvalRoutes(ports: ApprovalPorts): Endpoint[] {
  const one = { tag: 'Approvals', access: 'own', params: ApprovalParams } as const
  return [
    endpoint({
      method: 'get',
      path: '/approvals',
      tag: 'Approvals',
      access: 'threads:search',
      summary: 'List approvals, newest first',
      query: ApprovalList,
      answers: { 200: { description: 'A page of approvals', schema: z.array(Approval) } },
      async handle(c, { query }, { allowed, caller }) {
        const { limit, offset, ...filter } = query
        return await paged(
          c,
          { limit, offset },
          (place) => ports.holds.search({ ...given(filter), allowed, ...place }),
          (hold) => shownTo(hold, caller),
        )
      },
    }),
    endpoint({
      ...one,
      method: 'get',
      path: '/approvals/:approval_id',
      summary: 'Get an approval; one that a stream has just announced is waited for',
      answers: { 200: { description: 'The approval', schema: Approval }, ...NOT_FOUND },
      async handle(c, { params }, { caller }) {
        const hold = await findHold(ports, params.approval_id, c.req.raw.signal)
        await checkHold(ports, hold, caller, 'threads:read')
        return json(c, shownTo(hold, caller))
      },
    }),
    endpoint({
      ...one,
      method: 'post',
      path: '/approvals/:approval_id/decisions',
      summary:
        'Approve, edit, reject or respond. The decision that completes a message lets its run go on; an approval that needs more people waits for them',
      body: DecisionBody,
      answers: {
        200: { description: 'The approval: decided, or pending with the votes so far', schema: Approval },
        ...REFUSED,
        422: { description: 'The decision cannot be carried out; the approval still waits' },
      },
      async handle(c, { params, body }, { caller }) {
        await checkDecides(c, ports, params.approval_id, caller)
        const decision = given(body) as Decision
        return json(c, shownTo(await decideHold(ports, params.approval_id, decision, caller.person), caller))
      },
    }),
    endpoint({
      ...one,
      method: 'delete',
      path: '/approvals/:approval_id/votes',
      summary: 'Take your own approval back, while it is not enough',
      answers: { 200: { description: 'The approval, without it', schema: Approval }, ...REFUSED },
      async handle(c, { params }, { caller }) {
        await checkDecides(c, ports, params.approval_id, caller)
        return json(c, shownTo(await ports.holds.withdraw(params.approval_id, caller.person), caller))
      },
    }),
    endpoint({
      ...one,
      method: 'post',
      path: '/approvals/:approval_id/comments',
      summary: 'Say something beside, which decides nothing',
      body: CommentBody,
      answers: { 200: { description: 'The approval, with it', schema: Approval }, ...REFUSED },
      async handle(c, { params, body }, { caller }) {
        checkIsJson(c)
        const hold = await ports.holds.get(params.approval_id)
        if (hold) await checkHold(ports, hold, caller, 'threads:read')
        if (!mayComment(caller.person)) caller.needs('approver')
        ports.limits.word(caller.person)
        return json(
          c,
          shownTo(await ports.holds.comment(params.approval_id, caller.person, body.text), caller),
        )
      },
    }),
  ]
}

/** With what whoever asks may do, so that a client need not know the rules. */
export function shownTo(hold: Hold, { person, studio }: Caller) {
  const isPending = hold.status === 'pending'
  const may = DECISIONS.filter(
    (type) =>
      isPending && !studio && hasRole(person, 'approver') && refusalOf(hold, person, type) === undefined,
  )
  const { identity } = person
  const why_not = isPending && !may.includes('approve') ? whyNot(hold, person) : null
  const you = { identity, may, may_comment: mayComment(person), why_not }
  return { ...hold, self_approval: person.alone, you }
}

function mayComment(person: Person): boolean {
  return hasRole(person, 'operator') || hasRole(person, 'approver')
}

function whyNot(hold: Hold, person: Person): string {
  if (!hasRole(person, 'approver'))
    return `To decide needs the role approver; ${person.identity} has ${person.roles.join(', ')}.`
  const { message = '' } = refusalOf(hold, person, 'approve') ?? {}
  return message === ''
    ? 'A visitor by way of Studio decides no approvals.'
    : message.replace(/^self_approval: /, '')
}

/** Whoever may not see the approval is told that there is none. */
async function checkDecides(
  c: Context,
  ports: ApprovalPorts,
  approvalId: string,
  caller: Caller,
): Promise<void> {
  if (c.req.method === 'POST') checkIsJson(c)
  const hold = await ports.holds.get(approvalId)
  if (hold) await checkHold(ports, hold, caller, 'approvals:decide')
  if (caller.studio)
    throw new RuntimeError('hold_not_yours', 'A visitor by way of Studio decides no approvals.')
  ports.limits.word(caller.person)
}

/** A form or a "simple" request of another page can send text/plain, never this. */
export function checkIsJson(c: Context): void {
  if (/^application\/json\s*(;|$)/i.test(c.req.header('content-type') ?? '')) return
  throw new HTTPException(415, { message: 'Send it as application/json.' })
}

/** An approval of a thread that is not the caller's is not there. */
export async function checkHold(
  { threads }: ApprovalPorts,
  { approval_id, thread_id }: Hold,
  caller: Caller,
  event: AuthEvent,
): Promise<void> {
  const allowed = await caller.may(event, { thread_id, approval_id })
  if (!restricts(allowed) || (await threads.allows(thread_id, allowed))) return
  throw new RuntimeError('hold_not_found', `Approval ${approval_id} does not exist.`)
}

/** Without the keys that have no value. */
function given<T extends object>(values: T): { [Key in keyof T]?: NonNullable<T[Key]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never
}
