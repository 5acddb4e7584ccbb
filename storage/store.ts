import type { Json } from '../runtime/json.ts'
import { DEFAULT_TENANT } from '../runtime/people.ts'
import type { Clock, StoreItems } from '../runtime/ports.ts'
import type { Condition, ItemKey, ItemSearch, NamespaceSearch, StoreItem } from '../runtime/store.ts'
import { wordsOf } from '../runtime/store-words.ts'
import { type Database, jsonb } from './database.ts'

/** The database's own time, unless a clock was given. */
const NOW = 'coalesce($1::timestamptz, now())'
const ALIVE = `(s.expires_at is null or s.expires_at > ${NOW})`

// Rows that somebody else is writing are left to them: a reader neither waits nor deadlocks over an expiry.
const refreshedSql = (tenant: string) => `
  update store_items set expires_at = ${NOW} + ttl_minutes * interval '1 minute'
  where tenant_id = ${tenant} and (namespace, key) in (
    select namespace, key from store_items
    where tenant_id = ${tenant} and (namespace, key) in (select namespace, key from found) and ttl_minutes is not null
    for no key update skip locked
  )`

const getSql = (refresh: boolean) => `
  with found as (
    select s.namespace, s.key, s.value, s.created_at, s.updated_at
    from store_items s join unnest($2::text[], $3::text[]) as w (namespace, key) using (namespace, key)
    where s.tenant_id = $4 and ${ALIVE}
  ) ${refresh ? `, refreshed as (${refreshedSql('$4')})` : ''}
  select * from found`

/** Sets the advisory locks of this table apart from others. Any number will do. */
const LOCKS = 1_806_452_117

// One statement, so that a batch is written as a whole, and a run whose lease is lost writes nothing of it.
// Two batches with the same keys would deadlock over them: both first take the locks of their keys, in one order, and
// few, because PostgreSQL has room for thousands in all. A single write needs none: it waits for nothing once it has its row.
const WRITE = `
  with fence as (
    select 1 from runs
    where thread_id = $3 and run_id = $4 and lease_token = $5 and status = 'running'
    for share
  ), allowed as (
    select 1 where $4::uuid is null union all select 1 from fence
  ), given as (
    select * from jsonb_to_recordset($2::jsonb)
      as g (namespace text, key text, value jsonb, words text, ttl double precision)
    where exists (select 1 from allowed)
    order by namespace, key
  ), locked as (
    select count(pg_advisory_xact_lock(${LOCKS}, place)) as n from (
      select distinct abs(hashtext($6::text || '.' || namespace || '.' || key) % 64) as place from given
      where (select count(*) from given) > 1
      order by place
    ) p
  ), deleted as (
    delete from store_items using given g
    where store_items.tenant_id = $6 and store_items.namespace = g.namespace and store_items.key = g.key and g.value is null
      and (select n from locked) >= 0
  ), written as (
    insert into store_items as s (tenant_id, namespace, key, value, words, ttl_minutes, expires_at)
    select $6, namespace, key, value, to_tsvector('simple', words), ttl, ${NOW} + ttl * interval '1 minute'
    from given where value is not null and (select n from locked) >= 0
    order by namespace, key
    on conflict (tenant_id, namespace, key) do update set
      value = excluded.value, words = excluded.words, updated_at = now(),
      ttl_minutes = excluded.ttl_minutes, expires_at = excluded.expires_at,
      created_at = case when ${ALIVE} then s.created_at else now() end
  )
  select 1 from allowed`

// In small batches, so that no long lock is held; the next sweep takes the next ones.
const DELETE_EXPIRED = `
  delete from store_items where (tenant_id, namespace, key) in (
    select tenant_id, namespace, key from store_items where expires_at <= $1 limit 1000 for update skip locked
  )`

// As JavaScript's Number() reads a value, which LangGraph's own store compares by; texts that are no number match nothing.
const NUMBER = `
  case jsonb_typeof(f.found)
    when 'number' then f.found::numeric
    when 'boolean' then f.found::boolean::integer::numeric
    when 'null' then 0
    when 'string' then case
      when f.found #>> '{}' ~ '^\\s*$' then 0
      when f.found #>> '{}' ~* '^\\s*[+-]?([0-9]{1,250}([.][0-9]{0,250})?|[.][0-9]{1,250})(e[+-]?[0-9]{1,3})?\\s*$'
        then (f.found #>> '{}')::numeric
    end
  end`
const IS_LISTED = `exists (select from jsonb_array_elements(c -> 'value') e where e = f.found)`

/** Conditions as JSON: a `number` stands beside the value where it is compared as one. */
const meetsSql = (conditions: string) => `
  not exists (
    select from jsonb_array_elements(${conditions}::jsonb) as c
    cross join lateral (select s.value -> (c ->> 'field') as found) f
    where not coalesce(case c ->> 'op'
      when '$eq' then f.found = c -> 'value'
      when '$ne' then f.found is distinct from c -> 'value'
      when '$gt' then ${NUMBER} > (c ->> 'number')::numeric
      when '$gte' then ${NUMBER} >= (c ->> 'number')::numeric
      when '$lt' then ${NUMBER} < (c ->> 'number')::numeric
      when '$lte' then ${NUMBER} <= (c ->> 'number')::numeric
      when '$in' then ${IS_LISTED}
      when '$nin' then not ${IS_LISTED}
    end, false)
  )`

// Any of the words, not all: who asks for "what does Ada like to eat" has no document with each of them.
const ASKED = `replace(plainto_tsquery('simple', $3)::text, ' & ', ' | ')::tsquery`

/** `.` is followed by `/` in "C": what begins with `a.` is less than `a/`. */
const belowSql = (prefix: string) =>
  `(s.namespace = ${prefix} or (s.namespace > ${prefix} || '.' and s.namespace < ${prefix} || '/'))`

const searchSql = ({ prefix, query, conditions }: ItemSearch, refresh: boolean) => `
  with found as (
    select s.namespace, s.key, s.value, s.created_at, s.updated_at,
      ${query === '' ? 'null::real' : `ts_rank(s.words, ${ASKED}, 32)`} as score
    from store_items s
    where s.tenant_id = $7 and ${ALIVE} and $2::text is not null and $3::text is not null and $4::jsonb is not null
      ${prefix.length === 0 ? '' : `and ${belowSql('$2')}`}
      ${query === '' ? '' : `and s.words @@ ${ASKED}`}
      ${conditions.length === 0 ? '' : `and ${meetsSql('$4')}`}
    order by score desc nulls last, s.updated_at desc, s.namespace, s.key
    limit $5 offset $6
  ) ${refresh ? `, refreshed as (${refreshedSql('$7')})` : ''}
  select * from found order by score desc nulls last, updated_at desc, namespace, key`

const NAMESPACES = `
  select distinct labels[1:coalesce($3::integer, cardinality(labels))] as labels
  from (
    select distinct string_to_array(s.namespace, '.') as labels from store_items s
    where s.tenant_id = $7 and ${ALIVE} and ($6::text = '' or ${belowSql('$6')})
  ) n
  where not exists (
    select from jsonb_to_recordset($2::jsonb) as c ("matchType" text, path text[])
    cross join lateral unnest(c.path) with ordinality as p (label, place)
    cross join lateral (
      select labels[(case c."matchType" when 'prefix' then place else cardinality(labels) - cardinality(c.path) + place end)::integer] as found
    ) f
    where f.found is null or (p.label <> '*' and p.label <> f.found)
  )
  order by labels limit $4 offset $5`

interface Row {
  namespace: string
  key: string
  value: Json
  created_at: Date
  updated_at: Date
  score?: number | null
  [column: string]: unknown
}

/** A tenant's part of the store's table. `clock` says when an item's time is over; unset, the database does. */
export function createStoreItems(db: Database, clock?: Clock, tenant = DEFAULT_TENANT): StoreItems {
  const now = async () => (clock === undefined ? null : await clock())
  return {
    of: (other) => createStoreItems(db, clock, other),
    async get(keys, refresh = false) {
      const values = [await now(), keys.map(pathOf), keys.map(({ key }) => key), tenant]
      const { rows } = await db.query<Row>(getSql(refresh), values)
      const found = new Map(rows.map((row) => [`${row.namespace}\0${row.key}`, toItem(row)]))
      return keys.map((one) => found.get(`${pathOf(one)}\0${one.key}`) ?? null)
    },
    async search(search, refresh = false) {
      const { rows } = await db.query<Row>(searchSql(search, refresh), [
        await now(),
        pathOf({ namespace: search.prefix }),
        search.query.replaceAll('\0', ' '),
        jsonb(search.conditions.map(compared)),
        search.limit,
        search.offset,
        tenant,
      ])
      return rows.map(toItem)
    },
    async namespaces({ conditions, maxDepth, limit, offset }) {
      const { rows } = await db.query<{ labels: string[] }>(NAMESPACES, [
        await now(),
        jsonb(conditions),
        maxDepth ?? null,
        limit,
        offset,
        fixedPrefix(conditions),
        tenant,
      ])
      return rows.map(({ labels }) => labels)
    },
    async write(writes, run) {
      // The last word on a key counts, as in a batch of LangGraph's own store.
      const last = new Map(writes.map((write) => [`${pathOf(write)}\0${write.key}`, write]))
      const given = [...last.values()].map((write) => ({
        namespace: pathOf(write),
        key: write.key,
        value: write.value,
        words: write.value === null ? null : wordsOf(write.value, write.index),
        ttl: write.ttl ?? null,
      }))
      const { rows } = await db.query(WRITE, [
        await now(),
        jsonb(given),
        run?.thread_id ?? null,
        run?.run_id ?? null,
        run?.lease_token ?? null,
        tenant,
      ])
      return rows.length > 0
    },
    async deleteExpired(at) {
      await db.query(DELETE_EXPIRED, [at])
    },
  }
}

/** With the number that it is compared by; null, which nothing is greater or less than, where it is none. */
function compared({ field, op, value }: Condition) {
  const listed = op === '$in' || op === '$nin'
  return { field, op, value: listed && !Array.isArray(value) ? [] : value, number: Number(value) }
}

function pathOf({ namespace }: Pick<ItemKey, 'namespace'>): string {
  return namespace.join('.')
}

/** The labels that every match begins with: the index finds what is below them. */
function fixedPrefix(conditions: NamespaceSearch['conditions']): string {
  const path = conditions.find(({ matchType }) => matchType === 'prefix')?.path ?? []
  const wild = path.indexOf('*')
  return path.slice(0, wild === -1 ? path.length : wild).join('.')
}

function toItem({ namespace, key, value, created_at, updated_at, score }: Row): StoreItem {
  return {
    namespace: namespace.split('.'),
    key,
    value,
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
    ...(score == null ? {} : { score }),
  }
}
