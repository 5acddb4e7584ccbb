import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'
import { decideHold, findHold } from '../../runtime/decide.ts'
import { restricts } from '../../runtime/allowed.ts'
import { RuntimeError } from '../../runtime/errors.ts'
import type { Decision, Hold } from '../../runtime/hold.ts'
import type { Holds, Signals, Threads } from '../../runtime/ports.ts'
import type { CheckEdit } from '../../runtime/resume.ts'
import { type AuthEvent, type Caller, nameOf } from '../auth.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json, paged } from '../reply.ts'
import { Approval, ApprovalList, ApprovalParams, DecisionBody } from '../schemas/approvals.ts'

export interface ApprovalPorts {
  holds: Holds
  signals: Signals
  checkEdit: CheckEdit
  threads: Threads
}

export function approvalRoutes(ports: ApprovalPorts): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/approvals',
      tag: 'Approvals',
      access: 'threads:search',
      summary: 'List approvals, newest first',
      query: ApprovalList,
      answers: { 200: { description: 'A page of approvals', schema: z.array(Approval) } },
      async handle(c, { query }, { allowed }) {
        const { limit, offset, ...filter } = query
        return await paged(c, { limit, offset }, (place) =>
          ports.holds.search({ ...given(filter), allowed, ...place }),
        )
      },
    }),
    endpoint({
      method: 'get',
      path: '/approvals/:approval_id',
      tag: 'Approvals',
      access: 'own',
      summary: 'Get an approval; one that a stream has just announced is waited for',
      params: ApprovalParams,
      answers: {
        200: { description: 'The approval', schema: Approval },
        404: { description: 'No such approval' },
      },
      async handle(c, { params }, { caller }) {
        const hold = await findHold(ports, params.approval_id, c.req.raw.signal)
        await checkHold(ports, hold, caller, 'threads:read')
        return json(c, hold)
      },
    }),
    endpoint({
      method: 'post',
      path: '/approvals/:approval_id/decisions',
      tag: 'Approvals',
      access: 'own',
      summary: 'Approve, edit, reject or respond. The decision that completes a message lets its run go on',
      params: ApprovalParams,
      body: DecisionBody,
      answers: {
        200: { description: 'The approval, decided', schema: Approval },
        404: { description: 'No such approval' },
        409: { description: 'It is decided already; nothing was changed' },
        415: { description: 'The body must be application/json' },
        422: { description: 'The decision cannot be carried out; the approval still waits' },
      },
      async handle(c, { params, body }, { caller }) {
        // A form or a "simple" request of another page can send text/plain, never this.
        if (!/^application\/json\s*(;|$)/i.test(c.req.header('content-type') ?? '')) {
          throw new HTTPException(415, { message: 'Send the decision as application/json.' })
        }
        const hold = await ports.holds.get(params.approval_id)
        if (hold) await checkHold(ports, hold, caller, 'approvals:decide')
        if (caller.studio)
          throw new RuntimeError('hold_not_yours', 'A visitor by way of Studio decides no approvals.')
        return json(c, await decideHold(ports, params.approval_id, given(body) as Decision, nameOf(caller)))
      },
    }),
  ]
}

/** An approval of a thread that is not the caller's is not there. */
async function checkHold(
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
