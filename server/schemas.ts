import { z } from 'zod'
import { AUDIT_KINDS } from '../runtime/audit.ts'
import type { Json } from '../runtime/json.ts'
import { STREAM_MODES } from '../runtime/run.ts'
import { isSchedule, isTimeZone } from '../runtime/schedule.ts'

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

const PruneStrategy = z.enum(['delete', 'keep_latest'])

/** Minutes after the last change; a century at most. */
const Minutes = z.number().positive().max(52_560_000)
const Ttl = z.union([Minutes, z.object({ ttl: Minutes, strategy: PruneStrategy.nullish() })])
export type Ttl = z.infer<typeof Ttl>

/** A node's name; `__end__` and `__copy__` are LangGraph's own. */
const AsNode = z.string().min(1).max(500)

const StateUpdate = z.object({
  values: Any.nullish(),
  command: z.strictObject({ update: Any.optional(), goto: Any.optional() }).nullish(),
  as_node: AsNode.nullish(),
})

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
  .object({ thread_ids: z.array(Uuid).max(1_000), strategy: PruneStrategy.default('delete') })
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

export const CheckpointPlace = z.object({
  thread_id: z.string().nullish(),
  checkpoint_ns: Text(2_000).nullish(),
  checkpoint_id: Text(200).nullish(),
  checkpoint_map: z.record(z.string(), z.string()).nullish(),
})

export const StateChange = StateUpdate.omit({ command: true })
  .extend({ checkpoint: CheckpointPlace.nullish(), checkpoint_id: Text(200).nullish() })
  .meta({ examples: [{ values: null, as_node: '__end__' }] })

export const StatePatch = z.object({ metadata: Dict }).meta({ examples: [{ metadata: { reviewed: true } }] })

export const StateAt = z.object({ checkpoint: CheckpointPlace, subgraphs: z.boolean().nullish() })

export const ThreadState = z.object({
  values: Any,
  next: z.array(z.string()),
  tasks: z.array(z.looseObject({ id: z.string(), name: z.string() })),
  metadata: Any,
  created_at: z.string().nullable(),
  checkpoint: CheckpointPlace.nullable(),
  parent_checkpoint: CheckpointPlace.nullable(),
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
  checkpoint: CheckpointPlace.nullish(),
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
  checkpoint: CheckpointPlace.nullish(),
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
  /** The older word for it: true is `async`, false is `exit`. */
  checkpoint_during: z.boolean().nullish(),
  /** Kept in the run's metadata: whoever collects feedback finds it there. */
  feedback_keys: z.array(Text(200)).max(100).nullish(),
  webhook: z
    .union([
      z.url({ protocol: /^https?$/, message: 'must be an http or https URL, or a path of this server' }),
      // A path of this server, where a project has routes of its own.
      Text(2_000).regex(/^\/(?![/\\])/, 'must be an http or https URL, or a path of this server'),
    ])
    .refine((url) => url.length <= 2_000, 'is too long')
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

/** What is said of each run of a cron; what would make no sense every time is left out. */
export const CronRun = RunCreate.omit({
  assistant_id: true,
  command: true,
  metadata: true,
  checkpoint_id: true,
  checkpoint: true,
  on_disconnect: true,
  if_not_exists: true,
  after_seconds: true,
})

const CronFields = CronRun.extend({
  schedule: Text(200).refine(
    isSchedule,
    'must be five fields: minute, hour, day of month, month and day of week, such as 30 9 * * 1-5',
  ),
  timezone: Text(100)
    .refine(isTimeZone, 'must be a time zone of the IANA database, such as Europe/Stockholm')
    .nullish(),
  end_time: z.iso
    .datetime({ offset: true, local: true, error: 'must be a time such as 2027-01-31T18:00:00Z' })
    .nullish(),
  enabled: z.boolean().nullish(),
  on_run_completed: z.enum(['delete', 'keep']).nullish(),
  metadata: Dict.nullish(),
})

export const CronParams = z.object({ cron_id: Uuid })

export const CronCreate = CronFields.extend({ assistant_id: z.string().min(1).max(200) }).meta({
  examples: [
    {
      assistant_id: 'react',
      schedule: '30 9 * * 1-5',
      timezone: 'Europe/Stockholm',
      input: { messages: [{ role: 'user', content: 'What is new?' }] },
    },
  ],
})

export const CronPatch = CronFields.partial({ schedule: true }).meta({
  examples: [{ schedule: '0 8 * * *', enabled: false }],
})
export type CronPatch = z.infer<typeof CronPatch>

export const CronCount = z.object({
  assistant_id: Text(200).nullish(),
  thread_id: Uuid.nullish(),
  enabled: z.boolean().nullish(),
  metadata: Dict.nullish(),
})

const CRON_FIELDS = [
  'cron_id',
  'assistant_id',
  'thread_id',
  'on_run_completed',
  'end_time',
  'schedule',
  'timezone',
  'created_at',
  'updated_at',
  'user_id',
  'payload',
  'next_run_date',
  'last_error',
  'metadata',
  'enabled',
  'now',
] as const

export const CronSearch = CronCount.extend({
  select: z.array(z.enum(CRON_FIELDS)).nullish(),
  limit: limit(1_000),
  offset,
  sort_by: z
    .enum(['cron_id', 'assistant_id', 'thread_id', 'created_at', 'updated_at', 'next_run_date'])
    .default('created_at'),
  sort_order: sortOrder,
})

export const Cron = z.object({
  cron_id: z.string(),
  assistant_id: z.string(),
  thread_id: z.string().nullable(),
  on_run_completed: z.enum(['delete', 'keep']).nullable(),
  user_id: z.string().nullable(),
  schedule: z.string(),
  timezone: z.string().nullable(),
  end_time: z.string().nullable(),
  enabled: z.boolean(),
  payload: Dict,
  metadata: Dict,
  next_run_date: z.string().nullable(),
  last_error: z.object({ due: z.string(), error: z.string(), message: z.string() }).nullable(),
  created_at: z.string(),
  updated_at: z.string(),
})

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

const RUN_FIELDS = [
  'run_id',
  'thread_id',
  'assistant_id',
  'created_at',
  'updated_at',
  'status',
  'metadata',
  'kwargs',
  'multitask_strategy',
] as const

/** Names as the official SDK sends them, a JSON list in one parameter, or separated by commas. */
const SelectRun = Text(500)
  .transform((text) =>
    text
      .replaceAll(/[[\]"\s]/g, '')
      .split(',')
      .filter(Boolean),
  )
  .pipe(z.array(z.enum(RUN_FIELDS)))

export const RunList = z.object({
  limit: limit(1_000),
  offset,
  status: RunStatus.optional(),
  select: SelectRun.optional(),
})
export const MetricsFormat = z.enum(['prometheus', 'json']).default('prometheus')

const Emptied = z.boolean().optional()
export const Truncate = z
  .strictObject({
    runs: Emptied,
    threads: Emptied,
    assistants: Emptied,
    checkpointer: Emptied,
    store: Emptied,
  })
  .meta({ examples: [{ store: true }] })

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

export const FileEntry = z.object({ path: z.string(), size: z.number().int(), modified_at: z.string() })

const ITEM = { namespace: ['users', 'ada'], key: 'likes' }
const Labels = z.array(Text(1_000)).max(200)
/** Labels to look for: `*` stands for any one. */
const LabelPattern = z.array(Text(1_000).regex(/^[^.]+$/, 'must be a label without dots')).max(200)
const ItemKey = z.object({ namespace: Labels, key: Text(1_000) })

export const ItemPut = ItemKey.extend({
  value: Dict,
  index: z.union([z.literal(false), z.array(Text(1_000)).max(100)]).nullish(),
  /** Minutes; null: for ever. A hundred years at most. */
  ttl: z.number().positive().max(52_560_000).nullish(),
}).meta({ examples: [{ ...ITEM, value: { text: 'Ada likes apricots.' } }] })

export const ItemDelete = ItemKey.meta({ examples: [ITEM] })

export const ItemGet = z.object({
  namespace: Labels.meta({
    description: 'Labels, joined by dots or one by one',
    examples: [[ITEM.namespace.join('.')]],
  }).transform((given) => given.flatMap((labels) => labels.split('.'))),
  key: Text(1_000).meta({ examples: [ITEM.key] }),
  refresh_ttl: z
    .enum(['true', 'false', '1', '0'])
    .transform((value) => value === 'true' || value === '1')
    .optional(),
})

export const ItemSearch = z
  .object({
    namespace_prefix: Labels.nullish(),
    filter: Dict.nullish(),
    query: Text(10_000).nullish(),
    limit: limit(1_000),
    offset,
    refresh_ttl: z.boolean().nullish(),
  })
  .meta({ examples: [{ namespace_prefix: ['users'], query: 'apricots' }] })

export const NamespaceSearch = z
  .object({
    prefix: LabelPattern.nullish(),
    suffix: LabelPattern.nullish(),
    max_depth: z.number().int().min(1).max(200).nullish(),
    limit: limit(1_000).default(100),
    offset,
  })
  .meta({ examples: [{ prefix: ['users', '*'] }] })

export const StoreItem = z.object({
  namespace: z.array(z.string()),
  key: z.string(),
  value: Any,
  created_at: z.string(),
  updated_at: z.string(),
  score: z.number().optional(),
})
