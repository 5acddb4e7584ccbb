import { z } from 'zod'
import { defineTool } from './define.ts'
import { memoryOf } from './memory.ts'

export const recall = defineTool({
  name: 'recall',
  description:
    'Finds what was kept with remember in conversations with the same person: texts that have any of the words, the ' +
    'best first, or without words the newest. It finds words as they are written, not by their meaning, and nothing ' +
    'of other people.',
  schema: z.object({
    words: z.string().max(500).default(''),
    limit: z.int().min(1).max(50).default(10),
  }),
  risk: 'low',
  effect: 'none',

  async run({ words, limit }) {
    const { store, namespace } = memoryOf()
    const found = await store.search(namespace, { limit, ...(words === '' ? {} : { query: words }) })
    return {
      memories: found.map(({ value, updatedAt }) => ({
        text: String(value['text']),
        kept_at: updatedAt.toISOString(),
      })),
    }
  },
})
