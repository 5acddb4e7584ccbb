import { OWNER } from './chunks/chunk.ts'
import { connect, type Place } from './connect.ts'

const TABLES = [
  'checkpoints',
  'checkpoint_chunks',
  'checkpoint_writes',
  'checkpoint_blobs',
  'events',
  'runs',
  'threads',
]

const SIZES = `
  select relname as name, case when reltuples >= 0 then reltuples::double precision end as rows, pg_total_relation_size(oid)::double precision as bytes
  from pg_class where relkind = 'r' and relnamespace = current_schema()::regnamespace and relname = any($1)
  order by bytes desc`

const THREADS = `
  with parts as (
    select ${OWNER} as thread_id, pg_column_size(c.*) as bytes, 1 as checkpoints from checkpoints c
    union all
    select ${OWNER}, pg_column_size(w.*), 0 from checkpoint_writes w
    union all
    select ${OWNER}, pg_column_size(b.*), 0 from checkpoint_blobs b
    union all
    select thread_id, pg_column_size(c.*), 0 from checkpoint_chunks c
  )
  select thread_id::text as id, sum(bytes)::double precision as bytes, sum(checkpoints)::double precision as checkpoints
  from parts group by thread_id order by bytes desc limit $1`

const GARBAGE = 'select count(*)::double precision as n from checkpoint_garbage'

export interface StorageReport {
  /** `rows`: null until the database has counted them. */
  tables: { name: string; rows: number | null; bytes: number }[]
  threads: { id: string; bytes: number; checkpoints: number }[]
  /** Threads that may have chunks which nothing needs. */
  waiting: number
}

/** Sizes of the tables with their indexes, rows as the database last estimated them, and the largest threads. */
export async function reportStorage(place: Place, top: number): Promise<StorageReport> {
  const connection = await connect(place)
  try {
    const tables = await connection.query<StorageReport['tables'][number]>(SIZES, [TABLES])
    const threads = await connection.query<StorageReport['threads'][number]>(THREADS, [top])
    const garbage = await connection.query<{ n: number }>(GARBAGE, [])
    return { tables: tables.rows, threads: threads.rows, waiting: garbage.rows[0]?.n ?? 0 }
  } finally {
    await connection.close()
  }
}
