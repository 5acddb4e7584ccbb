import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'
import { decideHold, findHold } from '../../runtime/decide.ts'
import type { Decision } from '../../runtime/hold.ts'
import type { Holds, Signals } from '../../runtime/ports.ts'
import type { CheckArgs } from '../../runtime/resume.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json, paged } from '../reply.ts'
import { Approval, ApprovalList, ApprovalParams, DecisionBody } from '../schemas.ts'

/** The one principal there is without keys. */
const LOCAL = 'local'

export interface ApprovalPorts {
  holds: Holds
  signals: Signals
  checkArgs: CheckArgs
}

export function approvalRoutes(ports: ApprovalPorts): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/approvals',
      tag: 'Approvals',
      summary: 'List approvals, newest first',
      query: ApprovalList,
      answers: { 200: { description: 'A page of approvals', schema: z.array(Approval) } },
      async handle(c, { query }) {
        const { limit, offset, ...filter } = query
        return paged(c, await ports.holds.search({ ...given(filter), limit, offset }), { limit, offset })
      },
    }),
    endpoint({
      method: 'get',
      path: '/approvals/:approval_id',
      tag: 'Approvals',
      summary: 'Get an approval; one that a stream has just announced is waited for',
      params: ApprovalParams,
      answers: {
        200: { description: 'The approval', schema: Approval },
        404: { description: 'No such approval' },
      },
      handle: async (c, { params }) => json(c, await findHold(ports, params.approval_id, c.req.raw.signal)),
    }),
    endpoint({
      method: 'post',
      path: '/approvals/:approval_id/decisions',
      tag: 'Approvals',
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
      async handle(c, { params, body }) {
        // A form or a "simple" request of another page can send text/plain, never this.
        if (!/^application\/json\s*(;|$)/i.test(c.req.header('content-type') ?? '')) {
          throw new HTTPException(415, { message: 'Send the decision as application/json.' })
        }
        return json(c, await decideHold(ports, params.approval_id, given(body) as Decision, LOCAL))
      },
    }),
  ]
}

/** Without the keys that have no value. */
function given<T extends object>(values: T): { [Key in keyof T]?: NonNullable<T[Key]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never
}
