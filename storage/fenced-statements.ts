import { insertChunks } from './chunks/rows.ts'
import { prepared } from './database.ts'

const FENCE = `
  select 1 from runs
  where thread_id = $1::uuid and run_id = $2 and lease_token = $3 and status = 'running'
  for share`

const WRITES = (from: number, onConflict: string) => `
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, packed, refs, run_id)
    select $1::text, ns, checkpoint_id, task_id, idx, channel, type, blob, packed, refs::uuid[], $2::uuid
    from unnest($${from}::text[], $${from + 1}::text[], $${from + 2}::text[], $${from + 3}::integer[],
        $${from + 4}::text[], $${from + 5}::text[], $${from + 6}::bytea[], $${from + 7}::text[], $${from + 8}::text[])
      as w (ns, checkpoint_id, task_id, idx, channel, type, blob, packed, refs)
    where exists (select 1 from fence)
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) ${onConflict}`
const WRITE_COLUMNS = 9
const CHUNKS = (from: number) => insertChunks('$1', from, 'where exists (select 1 from fence)')

const PUT_COLUMNS = 6
const PUT = (place: number, from: number) => `
    select ${place}, $${from}::text, $${from + 1}::text, $${from + 2}::text, $${from + 3}::text, $${from + 4}::uuid[], $${from + 5}::jsonb`

/** What one statement stores: how many checkpoints, and whether writes and chunks. */
export interface Load {
  puts: number
  writes: boolean
  chunks: boolean
}

// Fence, checkpoints, chunks, and the writes of tasks that ended meanwhile, in one statement: it costs one round trip, and
// a zombie has nothing to slip between.
function storeSql({ puts, writes, chunks }: Load): string {
  const afterPuts = 4 + puts * PUT_COLUMNS
  const afterWrites = writes ? afterPuts + WRITE_COLUMNS : afterPuts
  const parts = [
    `fence as (${FENCE})`,
    ...(writes ? [`writes as (${WRITES(afterPuts, 'do nothing')})`] : []),
    ...(chunks ? [`chunks as (${CHUNKS(afterWrites)})`] : []),
  ]
  if (puts === 0) return prepared(`with ${parts.join()} select 1 from fence`)
  const rows = Array.from({ length: puts }, (_, place) => PUT(place, 4 + place * PUT_COLUMNS))
  return prepared(`
  with ${parts.join()}
  insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, state, refs, metadata)
  select $1::text, ns, id, parent, '{}', state, refs, metadata
  from (${rows.join(' union all ')}) as put (place, ns, id, parent, state, refs, metadata), fence
  order by place
  on conflict (thread_id, checkpoint_ns, checkpoint_id) do update
  set state = excluded.state, refs = excluded.refs, checkpoint = excluded.checkpoint, metadata = excluded.metadata
  returning 1`)
}

const statements = new Map<string, string>()

export function statementFor(load: Load): string {
  const key = `${load.puts} ${load.writes} ${load.chunks}`
  const sql = statements.get(key) ?? storeSql(load)
  statements.set(key, sql)
  return sql
}

// Interrupts, resume values and errors have fixed places, where the newest counts.
export const PUT_SPECIAL_WRITES = prepared(`
  with fence as (${FENCE}), added as (${WRITES(
    4,
    'do update set channel = excluded.channel, type = excluded.type, blob = excluded.blob',
  )})
  select 1 from fence`)
