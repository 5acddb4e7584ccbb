import { z } from 'zod'
import type { Allowed } from './allowed.ts'
import { approvalId, argsHash, doubtId } from './call.ts'
import type { Json } from './json.ts'
import { Needs, ONE_PERSON } from './needs.ts'
import type { Role } from './people.ts'
import { Preview, previewHash, type Shown } from './preview.ts'

export type HoldStatus =
  | 'pending'
  | 'approved'
  | 'edited'
  | 'rejected'
  | 'responded'
  | 'expired'
  | 'cancelled'
export type DecisionType = 'approve' | 'edit' | 'reject' | 'respond'

/**
 * `tool`: a call that a person must release. `in_doubt`: a call that may or may not have happened; to approve is "it
 * did not, run it", to respond "it happened, with this result", to reject "skip it".
 */
export type HoldKind = 'tool' | 'in_doubt'

/** From `pending` a hold goes to one of these, once. `cancelled` and decided ones open again only if the same call is held again. */
export const STATUS_AFTER: Record<DecisionType, HoldStatus> = {
  approve: 'approved',
  edit: 'edited',
  reject: 'rejected',
  respond: 'responded',
}

/** One person's word on a hold. */
export interface Decision {
  type: DecisionType
  /** With `approve`: of the arguments that its sender saw. */
  args_hash?: string
  /** With `edit`: the arguments that run instead. */
  args?: Json
  /** With `reject`: why; with `respond`: the answer that the model gets as the tool's result. */
  message?: string
}

/** Whose word it is, as they were when they said it. */
export interface Voice {
  by: string
  /** Whether it counts where a senior is asked for. */
  senior?: boolean
  /** Unset: said before roles were noted. */
  roles?: Role[]
  /** Of the key that they came with; unset: with none, such as by a link. */
  key_id?: string
}

/** One person's word for a call. A person has one, however many keys. */
export interface Vote extends Voice {
  type: 'approve' | 'edit'
  at: string
  comment?: string
}

/** What somebody wants to run instead: released by others, as a call of its own. */
export interface Proposal extends Partial<Shown> {
  args: Json
  args_hash: string
  by: string
  at: string
}

export interface Comment {
  by: string
  at: string
  text: string
}

/** A decision with who and when, as the hold keeps it. */
export interface RecordedDecision extends Omit<Decision, 'args_hash'> {
  by: string
  at: string
  /** With `edit`: whoever took it had not the tool, and asked the hold's `args_schema` alone. */
  checked_by?: 'schema'
}

/** A hold as clients see it (`/approvals`). Dates are ISO 8601. */
export interface Hold {
  approval_id: string
  thread_id: string
  run_id: string
  assistant_id: string
  graph_id: string
  tenant_id: string
  /** Whose wish the call is. They do not release it. */
  requested_by: string[]
  /** Null where it is not known, or not one alone. */
  requester: string | null
  /** That they had when it was asked for; null where they are not known. */
  requester_roles: Role[] | null
  interrupt_id: string
  kind: HoldKind
  message_id: string
  call_id: string
  tool: string
  tool_version: string
  args: Json
  args_hash: string
  /** What the tool takes, as JSON Schema; null: it could not be written, or what is asked is not to be edited. */
  args_schema: Json
  /** What the call would do, as the tool said when it was asked for; null: `no_preview` may say why. */
  preview: Preview | null
  preview_hash: string | null
  no_preview: string | null
  /** The approval that this one was asked for in the place of. */
  replaces: string | null
  risk: string
  reason: string
  /** The policy's rules that asked for it; null: the tool's own risk did. */
  rule: string | null
  /** Of the policy by which it was asked for. */
  policy_version: string
  needs: Needs
  status: HoldStatus
  decisions: RecordedDecision[]
  /** Of those who are for what is asked, or for `proposal` where there is one. */
  votes: Vote[]
  proposal: Proposal | null
  comments: Comment[]
  /** When it was handed on to others because nobody had decided in time. */
  escalated_at: string | null
  created_at: string
  /** Null: it waits for as long as it takes. */
  expires_at: string | null
  decided_at: string | null
  /** The run that goes on after the message's last decision. */
  resumed_run_id: string | null
}

export interface HoldFilter {
  status?: HoldStatus
  thread_id?: string
  tool?: string
  /** Of their threads. */
  allowed?: Allowed
  limit: number
  offset: number
}

/** The decisions that a `command.resume` carries for one interrupt. */
export interface InterruptAnswer {
  interruptId: string
  decisions: { approvalId: string; decision: Decision; edited?: EditedArgs }[]
}

/**
 * Arguments after the tool's schema, with their hash, what releases the hold now (as strict as for either call), and what
 * those who may release it are shown.
 */
export interface EditedArgs {
  args: Json
  hash: string
  needs: Needs
  shown: Shown
  /** The tool itself has not read them: it is not known here. */
  checkedBy?: 'schema'
}

/** What the hold node asks for one call; every entry becomes a hold. */
export const HoldRequest = z.object({
  kind: z.enum(['tool', 'in_doubt']).default('tool'),
  /** Of a call in doubt: the lease that began it, so that a second doubt asks again. */
  owner: z.string().optional(),
  approval_id: z.string(),
  message_id: z.string(),
  call_id: z.string(),
  tool: z.string(),
  args: z.record(z.string(), z.unknown()).transform((args) => args as Record<string, Json>),
  args_hash: z.string(),
  risk: z.string(),
  reason: z.string(),
  // What was asked for before there were policies has none of these.
  rule: z.string().nullable().default(null),
  policy_version: z.string().default(''),
  needs: Needs.default(ONE_PERSON),
  tool_version: z.string().default(''),
  args_schema: z.json().default(null),
  preview: Preview.nullable().default(null),
  preview_hash: z.string().nullable().default(null),
  no_preview: z.string().nullable().default(null),
  replaces: z.uuid().nullable().default(null),
})
export type HoldRequest = z.infer<typeof HoldRequest>

/**
 * The value of the hold node's interrupt. `action_requests` and `review_configs` repeat the entries in the shape
 * that LangChain's human-in-the-loop clients read.
 */
export const HoldPayload = z.object({
  type: z.literal('holdpoint.hold'),
  holds: z.array(HoldRequest).min(1),
})
export type HoldPayload = z.infer<typeof HoldPayload>

/**
 * The holds that an interrupt of this thread asks for, or none where it is somebody else's interrupt. An entry whose
 * id does not follow from its own contents was not made by our node and makes no hold.
 */
export function holdsOf(threadId: string, value: unknown): HoldRequest[] {
  const payload = HoldPayload.safeParse(value)
  if (!payload.success) return []
  return payload.data.holds.filter((entry) => {
    const hash = argsHash(entry.args)
    const key = { threadId, messageId: entry.message_id, callId: entry.call_id }
    const id =
      entry.kind === 'tool' ? approvalId(key, hash, entry.replaces) : doubtId(key, hash, entry.owner ?? '')
    const shown = entry.preview === null ? null : previewHash(entry.preview)
    return entry.args_hash === hash && entry.approval_id === id && entry.preview_hash === shown
  })
}

/** What the hold node gets back: one answer for each of its entries. */
export const HoldAnswer = z.object({
  decisions: z.array(
    z.object({
      approval_id: z.string(),
      args_hash: z.string(),
      type: z.enum(['approve', 'edit', 'reject', 'respond']),
      args: z.record(z.string(), z.unknown()).optional(),
      message: z.string().optional(),
    }),
  ),
})
export type HoldAnswer = z.infer<typeof HoldAnswer>

/** What ended it. An edit is followed by the words of those who released it. */
function decisionOf({ status, decisions }: Hold): RecordedDecision | undefined {
  return status === 'edited' ? decisions.findLast(({ type }) => type === 'edit') : decisions.at(-1)
}

/** The resume value for an interrupt whose holds are all decided. */
export function answerOf(holds: Hold[]): HoldAnswer {
  return {
    decisions: holds.map((hold) => {
      const last = decisionOf(hold)
      if (hold.status === 'expired') {
        return {
          approval_id: hold.approval_id,
          args_hash: hold.args_hash,
          type: 'reject',
          message: 'The approval expired.',
        }
      }
      if (last === undefined)
        throw new Error(`Hold ${hold.approval_id} is ${hold.status} without a decision.`)
      return {
        approval_id: hold.approval_id,
        args_hash: hold.args_hash,
        type: last.type,
        ...(last.args === undefined ? {} : { args: last.args as Record<string, Json> }),
        ...(last.message === undefined ? {} : { message: last.message }),
      }
    }),
  }
}
