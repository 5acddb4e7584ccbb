import { z } from 'zod'

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
