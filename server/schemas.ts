import { z } from 'zod'
import type { Json } from '../runtime/json.ts'
import { STREAM_MODES } from '../runtime/run.ts'

/** Shapes of the Agent Server protocol, as its clients send and read them. */

export const Uuid = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i, 'must be a UUID')
/** Any JSON value. What is checked came out of `JSON.parse`, so there is nothing more to ask of it. */
const Any = z.custom<Json>((value) => value !== undefined, 'is missing')
const Dict = z.record(z.string(), Any)
/** Text that is compared with a column: PostgreSQL's text takes every character but one. */
export const Text = (max: number) =>
  z
    .string()
    .max(max)
    // oxlint-disable-next-line no-control-regex -- the one that is refused
    .regex(/^[^\u0000]*$/, 'must not contain NUL')

export const ThreadParams = z.object({ thread_id: Uuid })
export const RunParams = z.object({ thread_id: Uuid, run_id: Uuid })
export const AssistantParams = z.object({ assistant_id: z.string().min(1).max(200) })
export const ApprovalParams = z.object({ approval_id: Uuid })

const limit = (max: number) => z.coerce.number().int().min(1).max(max).default(10)
const offset = z.coerce.number().int().min(0).max(1_000_000).default(0)
const sortOrder = z.enum(['asc', 'desc']).default('desc')
/** Query strings have no booleans: `z.coerce.boolean()` would read "false" and "0" as true. */
export const QueryFlag = z
  .enum(['true', 'false', '1', '0'])
  .default('false')
  .transform((value) => value === 'true' || value === '1')

export const AssistantCount = z.object({
  graph_id: Text(200).nullish(),
  name: Text(200).nullish(),
  metadata: Dict.nullish(),
})

const ASSISTANT_FIELDS = [
  'assistant_id',
  'graph_id',
  'name',
  'description',
  'config',
  'context',
  'metadata',
  'version',
  'created_at',
  'updated_at',
] as const

export const AssistantSearch = AssistantCount.extend({
  select: z.array(z.enum(ASSISTANT_FIELDS)).nullish(),
  limit: limit(1_000),
  offset,
  sort_by: z.enum(['assistant_id', 'graph_id', 'name', 'created_at', 'updated_at']).default('created_at'),
  sort_order: sortOrder,
})

const AssistantConfig = z.looseObject({
  configurable: Dict.nullish(),
  tags: z.array(z.string()).max(100).nullish(),
  recursion_limit: z.number().int().min(1).max(10_000).nullish(),
})

export const AssistantCreate = z.object({
  graph_id: Text(200).min(1),
  assistant_id: Uuid.nullish(),
  name: Text(500).nullish(),
  description: Text(20_000).nullish(),
  config: AssistantConfig.nullish(),
  context: Dict.nullish(),
  metadata: Dict.nullish(),
  if_exists: z.enum(['raise', 'do_nothing']).nullish(),
})

export const AssistantPatch = AssistantCreate.omit({ assistant_id: true, if_exists: true })
  .partial()
  .meta({ examples: [{ description: 'Asks twice.', metadata: { topic: 'orders' } }] })

export const AssistantVersions = z.object({
  metadata: Dict.nullish(),
  limit: limit(1_000),
  offset,
})

export const AssistantLatest = z.object({
  version: z
    .number()
    .int()
    .min(1)
    .max(2 ** 31 - 1),
})

export const Assistant = z.object({
  assistant_id: z.string(),
  graph_id: z.string(),
  name: z.string(),
  description: z.string().nullable(),
  config: Dict,
  context: Dict,
  metadata: Dict,
  version: z.number().int(),
  created_at: z.string(),
  updated_at: z.string(),
})

export const ThreadCreate = z.object({
  thread_id: Uuid.nullish(),
  metadata: Dict.nullish(),
  if_exists: z.enum(['raise', 'do_nothing']).nullish(),
})

export const ThreadPatch = z.object({ metadata: Dict.nullish() })

export const ThreadStatus = z.enum(['idle', 'busy', 'interrupted', 'error'])

export const ThreadSearch = z.object({
  ids: z.array(Uuid).max(1_000).nullish(),
  metadata: Dict.nullish(),
  values: Dict.nullish(),
  status: ThreadStatus.nullish(),
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

const CheckpointRef = z.object({
  thread_id: z.string().nullish(),
  checkpoint_ns: Text(2_000).nullish(),
  checkpoint_id: Text(200).nullish(),
  checkpoint_map: z.record(z.string(), z.string()).nullish(),
})

export const StateAt = z.object({ checkpoint: CheckpointRef, subgraphs: z.boolean().nullish() })

export const ThreadState = z.object({
  values: Any,
  next: z.array(z.string()),
  tasks: z.array(z.looseObject({ id: z.string(), name: z.string() })),
  metadata: Any,
  created_at: z.string().nullable(),
  checkpoint: CheckpointRef.nullable(),
  parent_checkpoint: CheckpointRef.nullable(),
  checkpoint_id: z.string().nullable(),
  parent_checkpoint_id: z.string().nullable(),
})

export const History = z.object({
  limit: z.coerce.number().int().min(1).max(1_000).default(10),
  before: z
    .union([
      Text(200),
      z.object({
        configurable: z.object({ checkpoint_id: Text(200).nullish() }).nullish(),
        checkpoint_id: Text(200).nullish(),
      }),
    ])
    .nullish(),
  metadata: Dict.nullish(),
  checkpoint: CheckpointRef.nullish(),
})

const StreamMode = z.enum(STREAM_MODES)
const Nodes = z.union([z.literal('*'), z.array(z.string())])

/** A node, or a node with the input that it starts with. */
const Target = z.union([z.string().min(1), z.object({ node: z.string().min(1), input: Any.optional() })])

export const RunCreate = z.object({
  assistant_id: z.string().min(1).max(200),
  input: Any.nullish(),
  command: z
    .object({
      resume: Any.optional(),
      update: z.union([Dict, z.array(z.tuple([z.string(), Any]))]).nullish(),
      goto: z.union([Target, z.array(Target)]).nullish(),
    })
    .nullish(),
  config: z
    .object({
      configurable: Dict.nullish(),
      tags: z.array(z.string()).max(100).nullish(),
      recursion_limit: z.number().int().min(1).max(10_000).nullish(),
    })
    .nullish(),
  context: Dict.nullish(),
  metadata: Dict.nullish(),
  checkpoint_id: Text(200).nullish(),
  checkpoint: CheckpointRef.nullish(),
  interrupt_before: Nodes.nullish(),
  interrupt_after: Nodes.nullish(),
  stream_mode: z.union([StreamMode, z.array(StreamMode).max(STREAM_MODES.length * 2)]).nullish(),
  stream_subgraphs: z.boolean().nullish(),
  stream_resumable: z.boolean().nullish(),
  on_disconnect: z.enum(['continue', 'cancel']).nullish(),
  multitask_strategy: z.enum(['enqueue', 'reject', 'interrupt', 'rollback']).nullish(),
  if_not_exists: z.enum(['reject', 'create']).nullish(),
  after_seconds: z.number().min(0).max(31_536_000).nullish(),
  durability: z.enum(['sync', 'async', 'exit']).nullish(),
  webhook: z
    .url({ protocol: /^https?$/, message: 'must be an http or https URL' })
    .max(2_000)
    .nullish(),
})
export type RunCreate = z.infer<typeof RunCreate>

/** The official SDK's types say `complete` and `continue` for what the protocol calls `delete` and `keep`. */
const OnCompletion = z
  .enum(['delete', 'keep', 'complete', 'continue'])
  .transform((word) => (word === 'keep' || word === 'continue' ? 'keep' : 'delete'))

export const StatelessRunCreate = RunCreate.extend({ on_completion: OnCompletion.nullish() })
export type StatelessRunCreate = z.infer<typeof StatelessRunCreate>
export const RunBatch = z.array(StatelessRunCreate).min(1).max(100)

export const StatelessRunParams = z.object({ run_id: Uuid })

export const RunCancelMany = z
  .object({
    thread_id: Uuid.nullish(),
    run_ids: z.array(Uuid).min(1).max(1_000).nullish(),
    status: z.enum(['pending', 'running', 'all']).nullish(),
  })
  .refine(({ run_ids, status }) => run_ids != null || status != null, 'needs run_ids or a status')
  .meta({ examples: [{ thread_id: '00000000-0000-4000-8000-000000000000', status: 'pending' }] })

export const RunStatus = z.enum(['pending', 'running', 'success', 'error', 'timeout', 'interrupted'])

export const Run = z.object({
  run_id: z.string(),
  thread_id: z.string(),
  assistant_id: z.string(),
  status: RunStatus,
  metadata: Dict,
  kwargs: Any,
  multitask_strategy: z.string(),
  error: z.object({ error: z.string(), message: z.string() }).nullable(),
  attempt: z.number().int(),
  created_at: z.string(),
  updated_at: z.string(),
})

export const RunList = z.object({ limit: limit(1_000), offset, status: RunStatus.optional() })
export const RunCancel = z.object({
  wait: QueryFlag,
  action: z.enum(['interrupt', 'rollback']).default('interrupt'),
})
export const RunJoin = z.object({ cancel_on_disconnect: QueryFlag })

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

export const DecisionBody = z.strictObject({
  type: z.enum(['approve', 'edit', 'reject', 'respond']),
  args: Dict.optional(),
  message: z.string().max(20_000).optional(),
})

export const Approval = z.object({
  approval_id: z.string(),
  thread_id: z.string(),
  run_id: z.string(),
  assistant_id: z.string(),
  interrupt_id: z.string(),
  kind: z.string(),
  message_id: z.string(),
  call_id: z.string(),
  tool: z.string(),
  args: Any,
  args_hash: z.string(),
  risk: z.string(),
  reason: z.string(),
  status: HoldStatus,
  decisions: z.array(z.looseObject({ type: z.string(), by: z.string(), at: z.string() })),
  created_at: z.string(),
  expires_at: z.string(),
  decided_at: z.string().nullable(),
  resumed_run_id: z.string().nullable(),
})

export const EffectList = z.object({ limit: limit(1_000), offset })

export const Effect = z.object({
  thread_id: z.string(),
  message_id: z.string(),
  call_id: z.string(),
  args_hash: z.string(),
  run_id: z.string(),
  tool: z.string(),
  effect: z.enum(['idempotent', 'once']),
  key: z.string(),
  status: z.enum(['intended', 'done', 'failed', 'retry', 'skipped']),
  outcome: Any,
  created_at: z.string(),
  ended_at: z.string().nullable(),
})

export const FileEntry = z.object({ path: z.string(), size: z.number().int(), modified_at: z.string() })
