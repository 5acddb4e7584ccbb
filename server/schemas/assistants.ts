import { z } from 'zod'
import { Dict, Text, Uuid, limit, offset, sortOrder } from './fields.ts'

export const AssistantParams = z.object({ assistant_id: z.string().min(1).max(200) })

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
