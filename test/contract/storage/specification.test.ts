import { deltaChannelHistoryTests, specTest } from '@langchain/langgraph-checkpoint-validation'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Checkpointer } from '../../../storage/checkpointer.ts'
import { createThreadMemory, type ThreadMemory } from '../../../storage/chunks/thread-memory.ts'
import type { Database } from '../../../storage/database.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import { openDatabase } from '../../support/storage.ts'

// The suite takes them from there.
Object.assign(globalThis, { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it })

/** As a run's saver, which knows what it stored. */
class RememberingCheckpointer extends Checkpointer {
  readonly #threads = new Map<string, ThreadMemory>()

  protected override memoryOf(threadId: string): ThreadMemory {
    const memory = this.#threads.get(threadId) ?? createThreadMemory()
    this.#threads.set(threadId, memory)
    return memory
  }
}

onBothDatabases((database) => {
  let db: Database
  beforeAll(async () => {
    db = await openDatabase(database.place)
  })
  afterAll(() => db.close())

  for (const Saver of [Checkpointer, RememberingCheckpointer]) {
    const suite = {
      checkpointerName: Saver.name,
      async createCheckpointer() {
        await db.query('truncate checkpoints, checkpoint_writes, checkpoint_chunks')
        return new Saver(db)
      },
    }
    specTest(suite)
    deltaChannelHistoryTests(suite)
  }
})
