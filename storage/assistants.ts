import { systemAssistantId, type Assistant } from '../runtime/assistant.ts'
import type { AssistantFilter, Assistants } from '../runtime/ports.ts'
import { type Database, jsonb } from './database.ts'

const COLUMNS =
  'assistant_id, graph_id, name, description, config, context, metadata, version, created_at, updated_at, count(*) over () as total'

const GET = `select ${COLUMNS} from assistants where assistant_id = $1`

const ENSURE = `
  insert into assistants (assistant_id, graph_id, name, metadata)
  select id, graph_id, graph_id, '{"created_by": "system"}'
  from unnest($1::uuid[], $2::text[]) as a (id, graph_id)
  on conflict (assistant_id) do nothing`

type Row = Omit<Assistant, 'created_at' | 'updated_at'> & {
  created_at: Date
  updated_at: Date
  total: unknown
}

export function createAssistants(db: Database): Assistants {
  return {
    async get(assistantId) {
      const { rows } = await db.query<Row>(GET, [assistantId])
      return rows[0] && toAssistant(rows[0])
    },
    async search(filter) {
      const { rows } = await db.query<Row>(searchSql(filter), [
        filter.graph_id ?? null,
        filter.name ?? null,
        jsonb(filter.metadata ?? {}),
        filter.limit,
        filter.offset,
      ])
      return { items: rows.map(toAssistant), total: Number(rows[0]?.total ?? 0) }
    },
    async ensureSystem(graphIds) {
      await db.query(ENSURE, [graphIds.map(systemAssistantId), graphIds])
    },
  }
}

function searchSql({ sort_by, sort_order }: AssistantFilter): string {
  return `
    select ${COLUMNS} from assistants
    where ($1::text is null or graph_id = $1)
      and ($2::text is null or position(lower($2) in lower(name)) > 0)
      and metadata @> $3::jsonb
    order by ${sort_by} ${sort_order}, assistant_id
    limit $4 offset $5`
}

function toAssistant({ total: _, ...row }: Row): Assistant {
  return { ...row, created_at: row.created_at.toISOString(), updated_at: row.updated_at.toISOString() }
}
