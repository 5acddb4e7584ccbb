import { TENANT } from '../runtime/allowed.ts'

/** Whether the caller may see that row: `value` is the placeholder of an `Allowed`, `table` the row's name. */
export function allowedSql(value: string, table: string): string {
  const tenant = `${value}::jsonb ->> '${TENANT}'`
  return `(${table}.metadata @> (${value}::jsonb - '${TENANT}') and ${table}.tenant_id = coalesce(${tenant}, ${table}.tenant_id))`
}
