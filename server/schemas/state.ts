import { z } from 'zod'
import { Any, Dict, Text } from './fields.ts'

/** A node's name; `__end__` and `__copy__` are LangGraph's own. */
const AsNode = z.string().min(1).max(500)

export const StateUpdate = z.object({
  values: Any.nullish(),
  command: z.strictObject({ update: Any.optional(), goto: Any.optional() }).nullish(),
  as_node: AsNode.nullish(),
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
