import { z } from 'zod'
import { Any, Dict, Text, Uuid, limit, offset, sortOrder } from './fields.ts'
import { StateUpdate } from './state.ts'

export const ThreadParams = z.object({ thread_id: Uuid })
const PruneStrategy = z.enum(['delete', 'keep_latest'])

/** Minutes after the last change; a century at most. */
const Minutes = z.number().positive().max(52_560_000)

const Ttl = z.union([Minutes, z.object({ ttl: Minutes, strategy: PruneStrategy.nullish() })])
export type Ttl = z.infer<typeof Ttl>

export const ThreadCreate = z.object({
  thread_id: Uuid.nullish(),
  metadata: Dict.nullish(),
  if_exists: z.enum(['raise', 'do_nothing']).nullish(),
  supersteps: z
    .array(z.object({ updates: z.array(StateUpdate).min(1).max(100) }))
    .max(1_000)
    .nullish(),
  ttl: Ttl.nullish(),
})

export const ThreadPatch = z
  .object({ metadata: Dict.nullish(), ttl: Ttl.nullish() })
  .meta({ examples: [{ metadata: { topic: 'orders' } }] })

export const ThreadInclude = z.object({ include: Text(100).optional() })

/** The official description says `stream_modes`, its SDK sends `stream_mode`. */
const Modes = z.array(Text(200)).max(10).optional()

export const ThreadJoin = z.object({ stream_mode: Modes, stream_modes: Modes })

export const ThreadPrune = z
  .object({
    thread_ids: z.array(Uuid).max(1_000).default([]),
    assistant_id: Uuid.optional().describe('Those of this assistant, too'),
    strategy: PruneStrategy.default('delete'),
    keep_last: z.number().int().min(1).max(100_000).optional().describe('`keep_latest`: so many states'),
    older_than_minutes: z
      .number()
      .min(0)
      .max(5_256_000)
      .optional()
      .describe('`keep_latest`: no younger ones'),
  })
  .meta({ examples: [{ thread_ids: ['00000000-0000-4000-8000-000000000000'], strategy: 'keep_latest' }] })

export const ThreadStorage = z.object({
  checkpoints: z.number().int(),
  channels: z.record(z.string(), z.number().int()),
  writes: z.number().int(),
})

export const ThreadStatus = z.enum(['idle', 'busy', 'interrupted', 'error'])

export const ThreadCount = z.object({
  metadata: Dict.nullish(),
  values: Dict.nullish(),
  status: ThreadStatus.nullish(),
})

const THREAD_FIELDS = [
  'thread_id',
  'created_at',
  'updated_at',
  'state_updated_at',
  'metadata',
  'config',
  'context',
  'status',
  'values',
  'interrupts',
  'error',
] as const

/** `values.messages[-1].content`: a field of the thread, then names, places and places from the end. */
const ExtractPath = z
  .string()
  .max(500)
  .regex(
    /^(values|metadata|interrupts|config|status|error)(\.[^.[\]]+|\[-?\d{1,9}\])*$/,
    'must be a path such as values.messages[-1].content',
  )

export const ThreadSearch = ThreadCount.extend({
  ids: z.array(Uuid).max(1_000).nullish(),
  select: z.array(z.enum(THREAD_FIELDS)).nullish(),
  extract: z
    .record(z.string().max(100), ExtractPath)
    .refine((paths) => Object.keys(paths).length <= 10, 'must have at most 10 paths')
    .nullish(),
  limit: limit(1_000),
  offset,
  sort_by: z
    .enum(['thread_id', 'status', 'created_at', 'updated_at', 'state_updated_at'])
    .default('created_at'),
  sort_order: sortOrder,
})

export const Interrupt = z.object({ id: z.string(), value: Any })

export const Thread = z.object({
  thread_id: z.string(),
  created_at: z.string(),
  updated_at: z.string(),
  state_updated_at: z.string(),
  metadata: Dict,
  config: Dict,
  status: ThreadStatus,
  values: Any,
  interrupts: z.record(z.string(), z.array(Interrupt)),
  error: Any,
})
