import { createHash } from 'node:crypto'
import type pg from 'pg'
import type { NewEntry } from '../runtime/audit.ts'
import { StorageUnavailable } from '../runtime/lease.ts'

export interface Queryable {
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string,
    values?: unknown[],
  ): Promise<{ rows: Row[]; rowCount: number | null }>
}

/** A client between `begin` and `commit`. */
export interface OpenTransaction extends Queryable {
  /** The statement that nothing of the work comes after: `commit` travels with it, and does nothing where it fails. */
  last: Queryable['query']
}

export interface Transaction extends OpenTransaction {
  /** What the record is to say of it: appended before the commit (storage/record.ts). */
  readonly recorded: NewEntry[]
  /** Tells endpoints what was recorded since it was last called; it is before the commit (storage/tell-endpoints.ts). */
  tell(): Promise<void>
}

/** One SQL dialect and one code path, whichever PostgreSQL is underneath. */
export interface Database extends Omit<Connection, 'transaction'> {
  transaction<T>(work: (client: Transaction) => Promise<T>): Promise<T>
}

/** A database without its record. */
export interface Connection extends Queryable {
  /** For people: `PostgreSQL 15.4 at db.example:5432/app`, `embedded (PGlite, PostgreSQL 18)`. */
  readonly description: string
  /** True where this process is the only one that can be on the database. */
  readonly embedded: boolean
  /** What LangGraph's saver takes. Inside `transaction` use nothing but the given client: PGlite has one connection. */
  readonly pool: pg.Pool
  transaction<T>(work: (client: OpenTransaction) => Promise<T>): Promise<T>
  /** Calls `onMessage` for each NOTIFY on the channel, and `onGap` where some may have been missed. */
  listen(channel: string, onMessage: (payload: string) => void, onGap: () => void): Promise<void>
  close(): Promise<void>
}

// A clone has the same rows and another oid; a database restored elsewhere may have the same oid.
const IDENTITY = `
  select system_identifier::text as cluster, oid::text as oid
  from pg_control_system(), pg_database where datname = current_database()`

/** Names this database among those of all servers: the same in every process on it. */
export async function identityOf(db: Queryable): Promise<string> {
  const { rows } = await db.query<{ cluster: string; oid: string }>(IDENTITY)
  return createHash('sha256').update(`${rows[0]?.cluster}/${rows[0]?.oid}`).digest('hex').slice(0, 16)
}

const PREPARED = '/* prepared */'

/**
 * Marks a statement that every run asks: each connection of PostgreSQL parses and plans it once, which costs more than
 * carrying it out. The text must be one of few.
 */
export function prepared(sql: string): string {
  return PREPARED + sql
}

export function isPrepared(text: string): boolean {
  return text.startsWith(PREPARED)
}

/**
 * Runs `work` between `begin` and `commit` on one client of the pool. Statements that `work` does not wait for one by one
 * travel together, and are carried out in their order.
 */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: OpenTransaction) => Promise<T>,
  toClient: (client: pg.PoolClient) => Queryable = (client) => client,
): Promise<T> {
  const connection = await answered(pool.connect())
  const client = toClient(connection)
  let broken: Error | undefined
  let committed: Promise<unknown> | undefined
  try {
    // Sent with the first statement of the work, which fails, too, where this does: then the connection is broken.
    const begun = client.query('begin')
    begun.catch(() => {})
    const result = await work({
      query: (text, values) => client.query(text, values),
      async last(text, values) {
        const sent = client.query<never>(text, values)
        committed = client.query('commit')
        committed.catch(() => {})
        return await sent
      },
    })
    await begun
    await (committed ?? client.query('commit'))
    return result
  } catch (failure) {
    const error = isUnavailable(failure) ? new StorageUnavailable(failure) : failure
    await client.query('rollback').catch((cause: unknown) => {
      broken = cause instanceof Error ? cause : new Error(String(cause))
    })
    throw error
  } finally {
    // A client that could not even roll back is not given to anybody else.
    connection.release(broken)
  }
}

/** The same promise, with `StorageUnavailable` where the reason is the connection and not the statement. */
export async function answered<T>(statement: Promise<T>): Promise<T> {
  try {
    return await statement
  } catch (error) {
    throw isUnavailable(error) ? new StorageUnavailable(error) : error
  }
}

/** Class 08 is the connection, 57P the server's own end, 25P03 a transaction that stood still, 53300 too many connections; `pg` and Node add theirs. */
function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  return (
    /^(08...|57P0[1-5]|25P03|53300|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ENOENT)$/.test(
      code,
    ) ||
    /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed)/.test(
      error.message,
    ) ||
    (error instanceof AggregateError && error.errors.some(isUnavailable))
  )
}

// PostgreSQL refuses NUL and lone surrogates in jsonb. JSON.stringify writes exactly these as escapes.
const UNSTORABLE = /\\(?:\\|u0000|ud[89a-f][0-9a-f]{2})/g

/** JSON text that jsonb takes: what it cannot hold becomes U+FFFD. Columns of type json take the text as it is. */
export function jsonbText(text: string): string {
  return text.includes('\\u')
    ? text.replace(UNSTORABLE, (escape) => (escape === '\\\\' ? escape : '\\ufffd'))
    : text
}

export function jsonb(value: unknown): string {
  return jsonbText(JSON.stringify(value))
}

/** True for an error of PostgreSQL's with this SQLSTATE. */
export function hasSqlState(error: unknown, state: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === state
}
