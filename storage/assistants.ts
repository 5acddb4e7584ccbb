import { type Assistant, type AssistantFilter, systemAssistantId } from '../runtime/assistant.ts'
import { type Allowed, TENANT } from '../runtime/allowed.ts'
import { RuntimeError } from '../runtime/errors.ts'
import { EVERY_TENANT } from '../runtime/people.ts'
import type { Assistants } from '../runtime/ports.ts'
import { allowedSql } from './allowed.ts'
import { type Database, jsonb, type Queryable, prepared } from './database.ts'

const FIELDS = 'graph_id, name, description, config, context, metadata, version'
const COLUMNS = `assistant_id, ${FIELDS}, created_at, updated_at`

/** What every graph has, is everybody's to read. */
const ALLOWED = (value: string) =>
  `(${allowedSql(value, 'assistants')} or (tenant_id = '${EVERY_TENANT}' and metadata @> (${value}::jsonb - '${TENANT}')))`

const GET = prepared(`select ${COLUMNS} from assistants where assistant_id = $1 and ${ALLOWED('$2')}`)

// In one order, so that two servers that start together do not wait for each other.
const ENSURE = `
  with added as (
    insert into assistants (assistant_id, tenant_id, graph_id, name, description, metadata)
    select id, '${EVERY_TENANT}', graph_id, graph_id, description, '{"created_by": "system"}'
    from unnest($1::uuid[], $2::text[], $3::text[]) as a (id, graph_id, description)
    order by id
    on conflict (assistant_id) do update set description = excluded.description
    where assistants.version = 1 and assistants.description is distinct from excluded.description
    returning *
  )
  insert into assistant_versions (assistant_id, ${FIELDS})
  select assistant_id, ${FIELDS} from added
  on conflict (assistant_id, version) do update set description = excluded.description`

const SHARE = `
  update assistants set tenant_id = '${EVERY_TENANT}' where assistant_id = any($1) and tenant_id <> '${EVERY_TENANT}'`

const CREATE = `
  insert into assistants (assistant_id, tenant_id, graph_id, name, description, config, context, metadata)
  values ($1, $8, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb)
  on conflict (assistant_id) do nothing
  returning ${COLUMNS}`

const LOCK = 'select 1 from assistants where assistant_id = $1 for update'

// What is given replaces what is there, but for metadata, which is merged. Every change is a new version, even an empty one.
const UPDATE = `
  update assistants set
    graph_id = coalesce($2, graph_id), name = coalesce($3, name), description = coalesce($4, description),
    config = coalesce($5::jsonb, config), context = coalesce($6::jsonb, context),
    metadata = metadata || coalesce($7::jsonb, '{}'), updated_at = now(),
    version = 1 + (select max(version) from assistant_versions v where v.assistant_id = assistants.assistant_id)
  where assistant_id = $1
  returning ${COLUMNS}`

const ADD_VERSION = `
  insert into assistant_versions (assistant_id, ${FIELDS})
  select assistant_id, ${FIELDS} from assistants where assistant_id = $1`

const SET_LATEST = `
  update assistants a set
    graph_id = v.graph_id, name = v.name, description = v.description, config = v.config, context = v.context,
    metadata = v.metadata, version = v.version, updated_at = now()
  from assistant_versions v
  where a.assistant_id = $1 and v.assistant_id = $1 and v.version = $2
  returning a.assistant_id`

const VERSIONS = `
  select v.assistant_id, ${FIELDS.replaceAll(/\w+/g, 'v.$&')}, v.created_at, v.created_at as updated_at
  from assistant_versions v
  where v.assistant_id = $1 and v.metadata @> $2::jsonb
  order by v.version desc limit $3 offset $4`

const MATCHES = `
  ($1::text is null or graph_id = $1)
  and ($2::text is null or position(lower($2) in lower(name)) > 0)
  and metadata @> $3::jsonb
  and ${ALLOWED('$4')}`

const COUNT = `select count(*)::integer as n from assistants where ${MATCHES}`

type Row = Omit<Assistant, 'created_at' | 'updated_at'> & {
  created_at: Date
  updated_at: Date
  total?: unknown
}

export function createAssistants(db: Database): Assistants {
  const get = async (assistantId: string, allowed: Allowed = {}) => {
    const { rows } = await db.query<Row>(GET, [assistantId, jsonb(allowed)])
    return rows[0] && toAssistant(rows[0])
  }
  return {
    get,
    create: (assistant, ifExists, tenant) =>
      db.transaction(async (client) => {
        const { rows } = await client.query<Row>(CREATE, [
          assistant.assistant_id,
          assistant.graph_id,
          assistant.name,
          assistant.description,
          jsonb(assistant.config),
          jsonb(assistant.context),
          jsonb(assistant.metadata),
          tenant,
        ])
        if (rows[0]) {
          await client.query(ADD_VERSION, [assistant.assistant_id])
          return toAssistant(rows[0])
        }
        const { rows: existing } = await client.query<Row>(GET, [assistant.assistant_id, '{}'])
        if (existing[0] && ifExists === 'do_nothing') return toAssistant(existing[0])
        throw new RuntimeError(
          'assistant_exists',
          `Assistant ${assistant.assistant_id} already exists. Update it, or create one with another id.`,
        )
      }),
    update: (assistantId, change) =>
      db.transaction(async (client) => {
        // Locked first: two changes at once are two versions.
        await client.query(LOCK, [assistantId])
        const { rows } = await client.query<Row>(UPDATE, [
          assistantId,
          change.graph_id ?? null,
          change.name ?? null,
          change.description ?? null,
          orNull(change.config),
          orNull(change.context),
          orNull(change.metadata),
        ])
        if (rows[0] === undefined) return undefined
        await client.query(ADD_VERSION, [assistantId])
        return toAssistant(rows[0])
      }),
    async delete(assistantId) {
      const { rows } = await db.query('delete from assistants where assistant_id = $1 returning 1', [
        assistantId,
      ])
      return rows.length > 0
    },
    setLatest: (assistantId, version) =>
      db.transaction(async (client: Queryable) => {
        await client.query(LOCK, [assistantId])
        const { rows } = await client.query(SET_LATEST, [assistantId, version])
        if (rows.length === 0) return undefined
        const { rows: now } = await client.query<Row>(GET, [assistantId, '{}'])
        return now[0] && toAssistant(now[0])
      }),
    async versions(assistantId, { metadata, limit, offset }) {
      const { rows } = await db.query<Row>(VERSIONS, [assistantId, jsonb(metadata ?? {}), limit, offset])
      return rows.map(toAssistant)
    },
    async search(filter) {
      const { rows } = await db.query<Row>(searchSql(filter), [
        ...matching(filter),
        filter.limit,
        filter.offset,
      ])
      return { items: rows.map(toAssistant), total: Number(rows[0]?.total ?? 0) }
    },
    async count(filter) {
      const { rows } = await db.query<{ n: number }>(COUNT, matching(filter))
      return rows[0]?.n ?? 0
    },
    async ensureSystem(graphs) {
      const ids = graphs.map(({ graph_id }) => graph_id)
      const own = ids.map(systemAssistantId)
      await db.query(ENSURE, [own, ids, graphs.map(({ description }) => description)])
      // Of a database that was begun before there were tenants.
      await db.query(SHARE, [own])
    },
  }
}

function matching(filter: Pick<AssistantFilter, 'graph_id' | 'name' | 'metadata' | 'allowed'>): unknown[] {
  return [
    filter.graph_id ?? null,
    filter.name ?? null,
    jsonb(filter.metadata ?? {}),
    jsonb(filter.allowed ?? {}),
  ]
}

function orNull(value: object | undefined): string | null {
  return value === undefined ? null : jsonb(value)
}

function searchSql({ sort_by, sort_order }: AssistantFilter): string {
  return `
    select ${COLUMNS}, count(*) over () as total from assistants
    where ${MATCHES}
    order by ${sort_by} ${sort_order}, assistant_id ${sort_order}
    limit $5 offset $6`
}

function toAssistant({ total: _, ...row }: Row): Assistant {
  return { ...row, created_at: row.created_at.toISOString(), updated_at: row.updated_at.toISOString() }
}
