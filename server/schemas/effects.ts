import { z } from 'zod'
import { Any, limit, offset } from './fields.ts'

export const EffectList = z.object({ limit: limit(1_000), offset })

export const Effect = z.object({
  thread_id: z.string(),
  message_id: z.string(),
  call_id: z.string(),
  args_hash: z.string(),
  run_id: z.string(),
  tool: z.string(),
  effect: z.enum(['none', 'idempotent', 'once']),
  key: z.string(),
  status: z.enum(['intended', 'done', 'failed', 'retry', 'skipped']),
  outcome: Any,
  created_at: z.string(),
  ended_at: z.string().nullable(),
})
