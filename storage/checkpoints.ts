import type { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import type { Checkpoints } from '../runtime/checkpoints.ts'
import { DEFAULT_LIMITS, type StateLimits } from '../runtime/state-limits.ts'
import type { ThreadTtl } from '../runtime/thread.ts'
import { findArtifact } from './artifacts.ts'
import { Checkpointer } from './checkpointer.ts'
import { type Database, jsonb } from './database.ts'
import { createDraft } from './draft.ts'
import { FencedCheckpointer } from './fenced-checkpointer.ts'

const HEAD_RUN_ID = `
  select metadata ->> 'run_id' as run_id from checkpoints
  where thread_id = $1 and checkpoint_ns = ''
  order by position desc limit 1`

const DESCRIBE = `
  update checkpoints set metadata = metadata || $2::jsonb
  where thread_id = $1 and checkpoint_ns = '' and checkpoint_id = (
    select checkpoint_id from checkpoints where thread_id = $1 and checkpoint_ns = ''
    order by position desc limit 1
  )
  returning 1`

// The pauses of the newest checkpoint of each namespace.
const PAUSES = `
  select task_id, channel, type, blob from checkpoint_writes w
  where thread_id = $1 and channel in ('__interrupt__', '__resume__')
    and checkpoint_id = (
      select checkpoint_id from checkpoints c
      where c.thread_id = w.thread_id and c.checkpoint_ns = w.checkpoint_ns
      order by position desc limit 1
    )`

/** `usual`: of threads that come into being with their state. */
export function createCheckpoints(
  db: Database,
  usual?: ThreadTtl,
  limits: StateLimits = DEFAULT_LIMITS,
): Checkpoints {
  const plain = new Checkpointer(db, limits)
  return {
    limits,
    plain,
    fenced(run, failed) {
      const saver = new FencedCheckpointer(db, run, { failed, limits })
      return { saver, committed: saver.committed.bind(saver), flush: saver.flush.bind(saver) }
    },
    draft: (threadId, by) => createDraft(db, threadId, by, { usual, limits }),
    async describe(threadId, metadata) {
      const { rows } = await db.query(DESCRIBE, [threadId, jsonb(metadata)])
      return rows.length > 0
    },
    async holdsMessage(threadId, namespace, messageId) {
      const configurable = { thread_id: threadId, checkpoint_ns: namespace }
      const tuple = await plain.getTuple({ configurable })
      const messages: unknown = tuple?.checkpoint.channel_values['messages']
      return Array.isArray(messages) && messages.some((message: { id?: string }) => message.id === messageId)
    },
    async answerCounts(threadId) {
      const { rows } = await db.query<PauseRow>(PAUSES, [threadId])
      return await countAnswers(rows, plain.serde)
    },
    artifact: (threadId, sha256) => findArtifact(db, threadId, sha256),
    async headRunId(threadId) {
      const { rows } = await db.query<{ run_id: string | null }>(HEAD_RUN_ID, [threadId])
      return rows[0]?.run_id ?? undefined
    },
  }
}

interface PauseRow extends Record<string, unknown> {
  task_id: string
  channel: string
  type: string
  blob: Uint8Array
}

/** A task that paused again after an answer has both: its interrupt and the answers that it was given so far. */
async function countAnswers(
  rows: PauseRow[],
  serde: PostgresSaver['serde'],
): Promise<Record<string, number>> {
  const answers = new Map<string, number>()
  const interrupts: [string, string][] = []
  for (const { task_id, channel, type, blob } of rows) {
    const value: unknown = await serde.loadsTyped(type, blob)
    const list: unknown[] = Array.isArray(value) ? value : [value]
    if (channel === '__resume__') answers.set(task_id, list.length)
    else for (const interrupt of list) interrupts.push([task_id, String((interrupt as { id?: string }).id)])
  }
  return Object.fromEntries(
    interrupts.flatMap(([task, id]) => (answers.has(task) ? [[id, answers.get(task) ?? 0]] : [])),
  )
}
