import type { SqlClient } from './access.ts'

/**
 * What the operator may make in their own database, so that nobody has to be asked whether a statement has happened:
 * its row and its changes are one transaction. docs/sql.md has the statement. `void`: it did not happen, and only the
 * execution `attempt` may still do it.
 */
const FIND = `select to_regclass('holdpoint_effects') is not null as there`

const CLAIM = `
  insert into holdpoint_effects as e (key, attempt, state) values ($1, $2, 'done')
  on conflict (key) do update set state = 'done', at = now() where e.state = 'void' and e.attempt = excluded.attempt
  returning key
`

const VOID = `
  insert into holdpoint_effects as e (key, attempt, state) values ($1, $2, 'void')
  on conflict (key) do update set attempt = excluded.attempt where e.state = 'void'
  returning key
`

const READ = `select state, rows from holdpoint_effects where key = $1`

interface Row {
  state: 'void' | 'done'
  rows: number | null
}

export interface Execution {
  idempotencyKey: string
  attempt: string
}

export async function hasEffectsTable(sql: SqlClient): Promise<boolean> {
  const { rows } = await sql.query<{ there: boolean }>(FIND)
  return rows[0]?.there === true
}

/** Takes the key for this transaction; or says how many rows it has changed before. Throws where another execution has it. */
export async function claimEffect(
  sql: SqlClient,
  { idempotencyKey, attempt }: Execution,
): Promise<{ doneBefore: number | null } | undefined> {
  const { rows } = await sql.query(CLAIM, [idempotencyKey, attempt])
  if (rows.length > 0) return undefined
  const { rows: found } = await sql.query<Row>(READ, [idempotencyKey])
  if (found[0]?.state === 'done') return { doneBefore: found[0].rows }
  throw new Error('Another execution has taken this statement over.')
}

export async function noteRows(sql: SqlClient, { idempotencyKey }: Execution, rows: number): Promise<void> {
  await sql.query('update holdpoint_effects set rows = $2 where key = $1', [idempotencyKey, rows])
}

/** Keeps every other execution from it, unless it has happened: then says how many rows it changed. */
export async function voidEffect(
  sql: SqlClient,
  { idempotencyKey, attempt }: Execution,
): Promise<{ rows: number | null } | undefined> {
  const { rows } = await sql.query(VOID, [idempotencyKey, attempt])
  if (rows.length > 0) return undefined
  const { rows: found } = await sql.query<Row>(READ, [idempotencyKey])
  return { rows: found[0]?.rows ?? null }
}
