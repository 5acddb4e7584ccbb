import type { SqlClient, SqlDatabase } from './access.ts'
import { SAFE_FUNCTIONS } from './safe-functions.ts'
import { type Name, refused, type Statement } from './statement.ts'

/**
 * What the names of the statement are in this database, as this transaction's search path finds them: `tables` and
 * `named` have the oid of each, or null. `own`: functions of the database's own by these names. `callable`: of the
 * fields, those that a function of one argument has, and no column of the allowed tables.
 */
const RESOLVE = `
  select
    array(select to_regclass(name)::oid::bigint from unnest($1::text[]) with ordinality as t(name, n) order by n) as tables,
    array(select to_regclass(name)::oid::bigint from unnest($2::text[]) with ordinality as t(name, n) order by n) as named,
    array(select distinct n.nspname || '.' || p.proname
          from pg_proc p join pg_namespace n on n.oid = p.pronamespace
          where p.proname = any ($3) and n.nspname <> 'pg_catalog' and pg_function_is_visible(p.oid)) as own,
    array(select distinct p.proname::text from pg_proc p
          where p.proname = any ($4) and p.pronargs >= 1 and p.pronargs - p.pronargdefaults <= 1
            and not exists (select from pg_attribute a
                            where a.attname = p.proname
                              and a.attrelid in (select to_regclass(name) from unnest($1::text[]) as t(name)))) as callable
`

interface Resolved {
  tables: (string | null)[]
  named: (string | null)[]
  own: string[]
  callable: string[]
}

/** Throws `ToolError` where the statement reads, changes or calls what is not allowed. */
export async function checkNames(statement: Statement, database: SqlDatabase, sql: SqlClient): Promise<void> {
  const names = [...statement.relations]
  const bare = statement.functions.filter(({ schema }) => schema === undefined).map(({ name }) => name)
  const { rows } = await sql.query<Resolved>(RESOLVE, [
    database.readable.map(quoteQualified),
    names.map(quote),
    bare,
    [...statement.fields].filter((name) => !SAFE_FUNCTIONS.has(name)),
  ])
  const [resolved] = rows
  if (resolved === undefined) throw new Error('The database resolved no names.')
  const allowed = (list: string[]) =>
    new Set(database.readable.flatMap((name, index) => (list.includes(name) ? [resolved.tables[index]] : [])))
  const readable = allowed(database.readable)
  for (const [index, name] of names.entries()) {
    const oid = resolved.named[index] ?? null
    // Nothing has the name but a common table expression. Where something has, it might be meant.
    if (oid === null && name.schema === undefined && statement.ctes.has(name.name)) continue
    if (oid === null || !readable.has(oid)) throw notAllowed('read', name, database.readable)
  }
  if (statement.target !== undefined) {
    const target = statement.target
    const oid = resolved.named[names.findIndex((one) => quote(one) === quote(target))] ?? null
    if (oid === null || !allowed(database.writable).has(oid))
      throw notAllowed('changed', target, database.writable)
  }
  checkFunctions(statement, database, resolved)
}

function checkFunctions({ functions }: Statement, database: SqlDatabase, { own, callable }: Resolved): void {
  for (const { schema, name } of functions) {
    if (schema === 'pg_catalog') continue
    const isKnown =
      schema === undefined
        ? SAFE_FUNCTIONS.has(name) || database.functions.some((one) => one.endsWith(`.${name}`))
        : database.functions.includes(`${schema}.${name}`)
    if (!isKnown) throw refused(`The function ${name} is not one that this tool runs.`)
  }
  const [other] = own.filter((name) => !database.functions.includes(name))
  if (other !== undefined) throw refused(`The function ${other} is not one that this tool runs.`)
  const [field] = callable
  if (field !== undefined)
    throw refused(`".${field}" could be a call of the function ${field}. Give the column another name.`)
}

function notAllowed(what: string, { schema, name }: Name, list: string[]) {
  const known = list.length === 0 ? 'None may.' : `These may: ${list.join(', ')}.`
  return refused(
    `${schema === undefined ? '' : `${schema}.`}${name} is not a table that may be ${what}. ${known}`,
  )
}

function quote({ schema, name }: Name): string {
  return [schema, name]
    .flatMap((part) => (part === undefined ? [] : [`"${part.replaceAll('"', '""')}"`]))
    .join('.')
}

function quoteQualified(name: string): string {
  const dot = name.indexOf('.')
  return quote({ schema: name.slice(0, dot), name: name.slice(dot + 1) })
}
