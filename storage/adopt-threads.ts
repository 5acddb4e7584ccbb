import { type CheckpointTuple, WRITES_IDX_MAP } from '@langchain/langgraph-checkpoint'
import { createTell, type Tell } from '../runtime/artifact.ts'
import { systemAssistantId } from '../runtime/assistant.ts'
import { isUuid } from '../runtime/ids.ts'
import type { Interop } from '../runtime/interop.ts'
import { toJson } from '../runtime/json.ts'
import { DEFAULT_LIMITS, type StateLimits } from '../runtime/state-limits.ts'
import type { Interrupt } from '../runtime/thread.ts'
import { Checkpointer, isInternal } from './checkpointer.ts'
import { type Database, jsonb, jsonbText } from './database.ts'

const UNKNOWN = `
  select thread_id, min(ts) as began, max(ts) as changed from (
    select thread_id, coalesce(state::json ->> 1, checkpoint ->> 'ts')::timestamptz as ts from checkpoints c
    where not exists (select 1 from threads t where t.thread_id::text = c.thread_id)
  ) unknown
  group by thread_id order by thread_id`

const INSERT = `
  insert into threads (thread_id, tenant_id, metadata, "values", interrupts, paused, status,
    created_at, updated_at, state_updated_at)
  values ($1, $2, $3::jsonb, $4::jsonb, $5::jsonb, $6, case when $6 then 'interrupted' else 'idle' end, $7, $8, $8)
  on conflict do nothing
  returning 1`

interface UnknownRow extends Record<string, unknown> {
  thread_id: string
  began: Date
  changed: Date
}

export interface Adoption {
  graphId: string
  tenant: string
  show: Interop['show']
}

export interface Adopted {
  adopted: number
  /** Ids that no thread here can have. */
  left: string[]
}

/** Makes threads of the checkpoints that another program wrote with `PostgresSaver`, as states of that graph. */
export async function adoptThreads(
  db: Database,
  adoption: Adoption,
  limits: StateLimits = DEFAULT_LIMITS,
): Promise<Adopted> {
  const tell = createTell(limits)
  const saver = new Checkpointer(db)
  const { rows } = await db.query<UnknownRow>(UNKNOWN)
  const left = rows.map(({ thread_id: id }) => id).filter((id) => !isUuid(id))
  let adopted = 0
  for (const row of rows.filter(({ thread_id: id }) => isUuid(id))) {
    const tuple = await saver.getTuple({ configurable: { thread_id: row.thread_id } })
    if (tuple === undefined) continue
    const inserted = await db.query(INSERT, [
      row.thread_id,
      ...columnsOf(tuple, adoption, tell),
      row.began,
      row.changed,
    ])
    adopted += inserted.rows.length
  }
  return { adopted, left }
}

function columnsOf(tuple: CheckpointTuple, { graphId, tenant, show }: Adoption, tell: Tell): unknown[] {
  const interrupts = waitingIn(tuple, show)
  const metadata = { graph_id: graphId, assistant_id: systemAssistantId(graphId) }
  const values = Object.entries(tuple.checkpoint.channel_values).filter(([channel]) => !isInternal(channel))
  const told = tell(Object.fromEntries(values))
  return [tenant, jsonb(metadata), jsonbText(told), jsonb(interrupts), Object.keys(interrupts).length > 0]
}

/** What tasks of the newest checkpoint ask that have not ended. */
function waitingIn(
  { pendingWrites = [] }: CheckpointTuple,
  show: Interop['show'],
): Record<string, Interrupt[]> {
  const ended = new Set(
    pendingWrites.filter(([, channel]) => !(channel in WRITES_IDX_MAP)).map(([task]) => task),
  )
  const waiting: Record<string, Interrupt[]> = {}
  for (const [task, channel, value] of pendingWrites) {
    if (channel !== '__interrupt__' || ended.has(task)) continue
    for (const { id, value: asked } of [value].flat() as { id?: string; value?: unknown }[])
      if (id !== undefined) (waiting[task] ??= []).push({ id, value: toJson(show(asked)) })
  }
  return waiting
}
