import { z } from 'zod'
import { Preview } from '../../runtime/preview.ts'
import { LINK_DECISIONS, MAX_LINK_S } from '../../runtime/decision-link.ts'
import { Needs } from '../../runtime/needs.ts'
import { Any, Dict, Text, Uuid, limit, offset } from './fields.ts'

export const ApprovalParams = z.object({ approval_id: Uuid })

export const HoldStatus = z.enum([
  'pending',
  'approved',
  'edited',
  'rejected',
  'responded',
  'expired',
  'cancelled',
])

export const ApprovalList = z.object({
  status: HoldStatus.optional(),
  thread_id: Uuid.optional(),
  tool: Text(200).optional(),
  limit: limit(1_000),
  offset,
})

const SeenHash = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be the hash of arguments')
  .optional()
  .describe('Of what the sender saw; needed where the arguments were edited')
const Message = z.string().max(20_000).optional()

export const DecisionBody = z.strictObject({
  type: z.enum(['approve', 'edit', 'reject', 'respond']),
  args: Dict.optional(),
  args_hash: SeenHash,
  message: Message,
})

export const LinkParams = z.object({ token: z.string().describe('What the link has at its end') })

const LinkWords = z.enum(LINK_DECISIONS)

export const LinkBody = z.strictObject({
  principal: Text(200).describe('Who decides by it'),
  decision: LinkWords.optional().describe('The only word that it says; unset: any'),
  endpoint: z.uuid().optional().describe('Of a webhook: what it does not sign is not taken'),
  expires_in: z.int().min(1).max(MAX_LINK_S).optional().describe('Seconds; it ends with the approval, too'),
})

export const LinkWord = z.strictObject({ type: LinkWords, message: Message, args_hash: SeenHash })

export const DecisionLink = z.object({
  url: z.string(),
  link_id: z.string(),
  approval_id: z.string(),
  identity: z.string(),
  decision: LinkWords.nullable(),
  endpoint_id: z.string().nullable(),
  expires_at: z.string(),
})

const Said = { by: z.string(), at: z.string() }

/** Of an approval, what several people have to do with it; and what whoever asks may do. */
const Quorum = {
  votes: z.array(
    z.looseObject({
      ...Said,
      type: z.enum(['approve', 'edit']),
      comment: z.string().optional(),
      senior: z.boolean().optional(),
      roles: z.array(z.string()).optional().describe('That they had when they said it'),
      key_id: z.string().optional().describe('Of the key that they came with'),
    }),
  ),
  proposal: z
    .object({
      ...Said,
      args: z.json(),
      args_hash: z.string(),
      preview: Preview.nullish(),
      preview_hash: z.string().nullish(),
      no_preview: z.string().nullish(),
    })
    .nullable(),
  comments: z.array(z.object({ ...Said, text: z.string() })),
  escalated_at: z.string().nullable(),
  self_approval: z.boolean().describe('Whether there are no keys: then whoever asked may release it'),
  you: z
    .object({
      identity: z.string(),
      may: z.array(z.string()),
      may_comment: z.boolean(),
      why_not: z.string().nullable(),
    })
    .describe('Who asks, which decisions are theirs, whether they may comment, and why not to approve'),
}

export const CommentBody = z.strictObject({ text: z.string().trim().min(1).max(5_000) })

export const Approval = z.object({
  ...Quorum,
  approval_id: z.string(),
  thread_id: z.string(),
  run_id: z.string(),
  assistant_id: z.string(),
  graph_id: z.string(),
  tenant_id: z.string(),
  requested_by: z.array(z.string()),
  requester: z.string().nullable(),
  requester_roles: z.array(z.string()).nullable(),
  interrupt_id: z.string(),
  kind: z.string(),
  message_id: z.string(),
  call_id: z.string(),
  tool: z.string(),
  tool_version: z.string(),
  args: Any,
  args_hash: z.string(),
  args_schema: Any.describe('What the tool takes, as JSON Schema; null where that is not known'),
  preview: Preview.nullable(),
  preview_hash: z.string().nullable(),
  no_preview: z.string().nullable(),
  replaces: z.string().nullable(),
  risk: z.string(),
  reason: z.string(),
  rule: z.string().nullable(),
  policy_version: z.string(),
  needs: Needs,
  status: HoldStatus,
  decisions: z.array(z.looseObject({ type: z.string(), by: z.string(), at: z.string() })),
  created_at: z.string(),
  expires_at: z.string().nullable(),
  decided_at: z.string().nullable(),
  resumed_run_id: z.string().nullable(),
})
