import { z } from 'zod'
import { AUDIT_KINDS } from '../../runtime/audit.ts'
import { Dict, Text, Uuid, sortOrder } from './fields.ts'

const Moment = z.iso.datetime({ offset: true, message: 'must be a moment such as 2030-01-31T12:00:00Z' })

export const AuditList = z.object({
  thread_id: Uuid.optional(),
  kind: z.enum(AUDIT_KINDS).optional(),
  actor: Text(500).optional(),
  tool: Text(200).optional(),
  since: Moment.optional(),
  until: Moment.optional(),
  order: sortOrder,
  limit: z.coerce.number().int().min(1).max(10_000_000).optional(),
  cursor: Text(500).optional(),
})

export const AuditEntry = z.looseObject({
  chain: z.string(),
  seq: z.number().int(),
  at: z.string(),
  kind: z.enum(AUDIT_KINDS),
  actor: z.string(),
  actor_type: z.enum(['person', 'agent', 'system']),
  thread_id: z.string().optional(),
  run_id: z.string().optional(),
  assistant_id: z.string().optional(),
  approval_id: z.string().optional(),
  message_id: z.string().optional(),
  call_id: z.string().optional(),
  tool: z.string().optional(),
  data: Dict,
  oversight: z
    .object({
      decision_id: z.string(),
      system_id: z.string(),
      model_version: z.string().nullable(),
      input_sha256: z.string(),
      output_sha256: z.string().nullable(),
      decision: z.string(),
      human_review: z.boolean(),
      reviewed_by: z.string().nullable(),
      timestamp: z.string(),
      risk_tier: z.string(),
    })
    .optional(),
  previous: z.string(),
  mac: z.string(),
})
