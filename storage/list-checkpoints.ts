import type { CheckpointTuple, SerializerProtocol } from '@langchain/langgraph-checkpoint'
import { type CheckpointPlace, readTuples } from './chunks/read.ts'
import type { Queryable } from './database.ts'

/** Most lists are read from their beginning, and not to their end. */
const AT_ONCE = 25

const listSql = (where: string, limit: number | undefined) => `
  select thread_id, checkpoint_ns, checkpoint_id from checkpoints cp ${where}
  order by position desc ${limit === undefined ? '' : `limit ${Math.trunc(limit)}`}`

interface ListedRow extends CheckpointPlace, Record<string, unknown> {
  thread_id: string
}

/** Newest first; read a batch at a time, as far as somebody asks for them. */
export async function* listTuples(
  db: Queryable,
  serde: SerializerProtocol,
  { where, values, limit }: { where: string; values: unknown[]; limit: number | undefined },
): AsyncGenerator<CheckpointTuple> {
  const { rows } = await db.query<ListedRow>(listSql(where, limit), values)
  for (const batch of batchesOf(rows)) yield* readTuples(db, serde, batch[0].thread_id, batch)
}

/** As they come, of one thread each. */
function batchesOf(rows: readonly ListedRow[]): [ListedRow, ...ListedRow[]][] {
  const batches: [ListedRow, ...ListedRow[]][] = []
  for (const row of rows) {
    const last = batches.at(-1)
    if (last?.[0].thread_id === row.thread_id && last.length < AT_ONCE) last.push(row)
    else batches.push([row])
  }
  return batches
}
