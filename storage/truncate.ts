import type { Emptied } from '../runtime/ports.ts'
import { type Database, hasSqlState } from './database.ts'

const DEADLOCK = '40P01'
const TRIES = 10

const CHECKPOINTS = [
  'checkpoints',
  'checkpoint_blobs',
  'checkpoint_writes',
  'checkpoint_chunks',
  'checkpoint_garbage',
]
const RUNS = ['runs', 'events', 'webhooks', 'holds', 'grants', 'effects', 'refused_calls']

/** By the names that the official development server has for them. What is nothing without them goes as well. */
const TABLES: Record<Emptied, string[]> = {
  runs: RUNS,
  threads: ['threads', 'untrusted_reads', 'crons', ...RUNS, ...CHECKPOINTS],
  assistants: ['assistants', 'assistant_versions', 'crons'],
  checkpointer: CHECKPOINTS,
  store: ['store_items'],
}

/** A thread whose runs are gone waits for nothing. */
const AT_REST = `
  update threads set status = 'idle', interrupts = '{}', paused = false, error = null
  where status <> 'idle' or paused`

/** Empties tables, for tests: whoever runs there finds that its lease is lost. */
export async function truncate(db: Database, what: readonly Emptied[]): Promise<void> {
  const tables = new Set(what.flatMap((one) => TABLES[one]))
  if (tables.size === 0) return
  for (let tries = 1; ; tries += 1) {
    try {
      await db.transaction(async (client) => {
        await client.query(`truncate ${[...tables].join(', ')}`)
        if (tables.has('runs')) await client.query(AT_REST)
      })
      return
    } catch (error) {
      // Whoever works meanwhile locks the same tables in another order; then one of the two has to begin again.
      if (!hasSqlState(error, DEADLOCK) || tries === TRIES) throw error
    }
  }
}
