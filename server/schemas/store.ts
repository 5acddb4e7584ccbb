import { z } from 'zod'
import { Any, Dict, Text, limit, offset } from './fields.ts'

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
