import type {
  Assistants,
  Checkpoints,
  Effects,
  EventLog,
  Holds,
  Queue,
  Runs,
  Signals,
  Threads,
} from '../runtime/ports.ts'
import { createAssistants } from './assistants.ts'
import { createCheckpoints } from './checkpointer.ts'
import type { Database } from './database.ts'
import { createEffects } from './effects.ts'
import { createEventLog } from './events.ts'
import { createHolds } from './holds.ts'
import { migrate } from './migrate.ts'
import { openPglite } from './pglite.ts'
import { openPostgres } from './postgres.ts'
import { createQueue } from './queue.ts'
import { createRuns } from './runs.ts'
import { createSignals } from './signals.ts'
import { createThreads } from './threads.ts'

export interface Storage {
  description: string
  assistants: Assistants
  threads: Threads
  runs: Runs
  queue: Queue
  events: EventLog
  effects: Effects
  holds: Holds
  checkpoints: Checkpoints
  signals: Signals
  /** Whether the database answers. */
  ping(): Promise<boolean>
  close(): Promise<void>
}

/** Opens PostgreSQL, or the embedded database where no URL is given, and brings its schema up to date. */
export async function openStorage(options: {
  databaseUrl: string | undefined
  dataDir: string
  poolSize: number
  connectTimeoutMs: number
}): Promise<Storage> {
  const db =
    options.databaseUrl === undefined
      ? await openPglite(options.dataDir)
      : await openPostgres(options.databaseUrl, options)
  try {
    await migrate(db)
    // No other process can be on an embedded database: every lease in it is a dead process's.
    if (db.embedded) await db.query('delete from workers')
    return storageOver(db, await createSignals(db))
  } catch (error) {
    await db.close()
    throw error
  }
}

function storageOver(db: Database, signals: Signals): Storage {
  return {
    description: db.description,
    assistants: createAssistants(db),
    threads: createThreads(db),
    runs: createRuns(db),
    queue: createQueue(db),
    events: createEventLog(db),
    effects: createEffects(db),
    holds: createHolds(db),
    checkpoints: createCheckpoints(db),
    signals,
    ping: () =>
      db.query('select 1').then(
        () => true,
        () => false,
      ),
    close: () => db.close(),
  }
}
