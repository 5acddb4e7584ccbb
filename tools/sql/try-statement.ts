import type { SqlClient } from './access.ts'
import type { Name, Statement } from './statement.ts'

/** Of the table and its partitions: what would do more than change rows, and might not be taken back. */
const BEYOND = `
  select distinct c.relname || ': ' || beyond as beyond
  from (select to_regclass($1)::oid as relid
        union select relid from pg_partition_tree(to_regclass($1))) t
  join pg_class c on c.oid = t.relid
  cross join lateral (
    select 'trigger ' || g.tgname from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal and g.tgenabled <> 'D'
    union all select 'rule ' || r.rulename from pg_rewrite r where r.ev_class = c.oid and r.rulename <> '_RETURN'
    union all select 'it is a foreign table' where c.relkind = 'f'
    union all select 'it is a view' where c.relkind = 'v'
  ) as of_it(beyond)
  order by 1
`

/** In this transaction, and in earlier ones of this connection that PostgreSQL has not counted elsewhere yet. */
const CHANGED = `
  select schemaname || '.' || relname as name, n_tup_ins::int as inserted, n_tup_upd::int as updated, n_tup_del::int as deleted
  from pg_stat_xact_user_tables
  where n_tup_ins + n_tup_upd + n_tup_del > 0 and relname <> 'holdpoint_effects'
  order by 1
`

interface Changed {
  name: string
  inserted: number
  updated: number
  deleted: number
}

/**
 * What the statement changes, in words: it is run, in a transaction that whoever calls this rolls back. Where triggers,
 * rules or another server would run with it, which a rollback might not take back, the plan is what is shown.
 */
export async function tryStatement(sql: SqlClient, statement: Statement, target: Name): Promise<string> {
  const name = `${target.schema === undefined ? '' : `${target.schema}.`}${target.name}`
  const every = statement.everyRow ? `It has no WHERE: it is about every row of ${name}.\n` : ''
  const { rows: beyond } = await sql.query<{ beyond: string }>(BEYOND, [quoted(target)])
  if (beyond.length > 0) {
    const { rows } = await sql.query<{ 'QUERY PLAN': string }>(`explain (costs off)\n${statement.text}`)
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
    const why = beyond.map((row) => row.beyond).join('; ')
    return `${every}It was not tried, so its rows are not counted, because more would run with it (${why}).\n${plan}`
  }
  const { rows: before } = await sql.query<Changed>(CHANGED)
  const { rowCount } = await sql.query(statement.text)
  const { rows: after } = await sql.query<Changed>(CHANGED)
  const verb = { insert: 'inserts', update: 'updates', delete: 'deletes', select: 'reads' }[statement.kind]
  const lines = differences(before, after).map((row) => `${row.name}: ${wordsOf(row)}`)
  return `${every}It ${verb} ${rowCount ?? 0} rows of ${name}.\n${lines.join('\n')}\nTried in a transaction that was rolled back.`
}

function differences(before: Changed[], after: Changed[]): Changed[] {
  return after.flatMap(({ name, ...now }) => {
    const { inserted = 0, updated = 0, deleted = 0 } = before.find((row) => row.name === name) ?? {}
    const change = {
      name,
      inserted: now.inserted - inserted,
      updated: now.updated - updated,
      deleted: now.deleted - deleted,
    }
    return change.inserted + change.updated + change.deleted === 0 ? [] : [change]
  })
}

function wordsOf({ inserted, updated, deleted }: Changed): string {
  const parts = [
    ...(inserted > 0 ? [`${inserted} inserted`] : []),
    ...(updated > 0 ? [`${updated} updated`] : []),
    ...(deleted > 0 ? [`${deleted} deleted`] : []),
  ]
  return parts.join(', ')
}

function quoted({ schema, name }: Name): string {
  return [schema, name]
    .flatMap((part) => (part === undefined ? [] : [`"${part.replaceAll('"', '""')}"`]))
    .join('.')
}
