import { z } from 'zod'
import { STREAM_MODES } from '../../runtime/run.ts'
import { Any, Dict, QueryFlag, Text, Uuid, limit, offset } from './fields.ts'
import { CheckpointPlace } from './state.ts'

export const RunParams = z.object({ thread_id: Uuid, run_id: Uuid })
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

export const RunCancel = z.object({
  wait: QueryFlag,
  action: z.enum(['interrupt', 'rollback']).default('interrupt'),
})

export const RunJoin = z.object({ cancel_on_disconnect: QueryFlag })
