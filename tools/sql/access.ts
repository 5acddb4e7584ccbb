import pg from 'pg'
import { serviceKey } from '../../runtime/services.ts'
import { ToolError } from '../define.ts'
import { explainSql } from './sql-error.ts'

/** What agents may see and change of the operator's own databases. Unset: nothing. */
export interface SqlAccess {
  reading: SqlDatabase | undefined
  writing: SqlDatabase | undefined
}

/** A database, and what of it is allowed. */
export interface SqlDatabase {
  /** Tables and views that statements may read: `schema.name`. */
  readable: string[]
  /** Those that they may change. */
  writable: string[]
  /** Functions of the database's own that may be called, beside PostgreSQL's harmless ones: `schema.name`. */
  functions: string[]
  /** Runs `work` in one transaction, which ends as `ends` says, and is rolled back where `work` fails. */
  transaction<T>(kind: TransactionKind, signal: AbortSignal, work: (sql: SqlClient) => Promise<T>): Promise<T>
}

export interface TransactionKind {
  mode: 'read only' | 'read write'
  ends: 'commit' | 'rollback'
  /** Milliseconds that one statement may take. */
  timeoutMs: number
}

export interface SqlClient {
  /** One statement: the extended protocol takes no second one. */
  query<Row extends object>(text: string, values?: unknown[]): Promise<SqlResult<Row>>
}

export type SqlResult<Row> = Pick<pg.QueryResult, 'fields' | 'rowCount'> & { rows: Row[] }

export const SQL_ACCESS = serviceKey<SqlAccess>('sql_access')

export interface SqlSettings {
  url: string | undefined
  tables: string[]
  writeUrl: string | undefined
  writeTables: string[]
  functions: string[]
}

const CONNECTIONS = 4
const CONNECT_MS = 3_000
const LOCK_MS = 1_000
/** Bytes that the server may say in one transaction: an error repeats the value that it is about, which may have a gigabyte. */
const MAX_SAID = 8 * 1024 * 1024

/** Opens connections when they are needed. Close it. */
export function createSqlAccess(settings: SqlSettings): SqlAccess & { close(): Promise<void> } {
  const { url, writeUrl } = settings
  const functions = settings.functions.map(qualified)
  const writable = settings.writeTables.map(qualified)
  const readable = settings.tables.map(qualified)
  const reading = url === undefined ? undefined : openPool(url)
  const writing = writeUrl === undefined ? undefined : openPool(writeUrl)
  return {
    reading: reading && { readable, writable: [], functions, transaction: transactionOn(reading, readable) },
    writing: writing && {
      readable: [...readable, ...writable],
      writable,
      functions,
      transaction: transactionOn(writing, [...readable, ...writable]),
    },
    async close() {
      await Promise.all([reading?.end(), writing?.end()])
    },
  }
}

/** The schema is `public` where none is said. */
export function qualified(name: string): string {
  return name.includes('.') ? name : `public.${name}`
}

function openPool(url: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_MS,
    idleTimeoutMillis: 10_000,
    allowExitOnIdle: true,
    application_name: 'holdpoint sql tools',
  })
  // An idle connection that breaks is replaced by the next call's, and the statement on one that is lent out fails. Without
  // a listener each would end the process: the pool's hears of idle ones, the client's own of the others.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

function transactionOn(pool: pg.Pool, tables: string[]): SqlDatabase['transaction'] {
  const schemas = [...new Set(tables.map((table) => table.slice(0, table.indexOf('.'))))]
  return async (kind, signal, work) => {
    signal.throwIfAborted()
    const client = await pool.connect().catch((cause: unknown) => {
      throw new ToolError('INTERNAL', 'The database cannot be reached.', { cause })
    })
    // The server notices within a second that nobody waits any more: see `settingsOf`.
    const abandon = () => client.release(true)
    signal.addEventListener('abort', abandon, { once: true })
    const unbound = boundBy(client)
    let usable = false
    try {
      await client.query(`begin transaction ${kind.mode}; ${settingsOf(kind, schemas)}`)
      const result = await work({
        query: (text, values = []) => client.query({ text, values, queryMode: 'extended' } as pg.QueryConfig),
      })
      signal.throwIfAborted()
      await client.query(kind.ends)
      usable = true
      return result
    } catch (error) {
      signal.throwIfAborted()
      usable = await client.query('rollback').then(
        () => true,
        () => false,
      )
      throw explainSql(error)
    } finally {
      unbound()
      signal.removeEventListener('abort', abandon)
      if (!signal.aborted) client.release(!usable)
    }
  }
}

/** Ends a connection that says too much, as it says it. Returns how to stop listening. */
function boundBy(client: pg.PoolClient): () => void {
  const { stream } = (client as unknown as { connection: pg.Connection }).connection
  let said = 0
  const count = (chunk: Buffer) => {
    said += chunk.length
    if (said > MAX_SAID)
      stream.destroy(
        new ToolError('INVALID_ARGS', `The database said more than ${MAX_SAID} bytes. Ask for less.`),
      )
  }
  stream.on('data', count)
  return () => void stream.off('data', count)
}

/**
 * What bounds every statement of the transaction, whatever the role or the database says. `standard_conforming_strings`:
 * or the server would read another statement than the parser that has checked it.
 */
function settingsOf({ timeoutMs }: TransactionKind, schemas: string[]): string {
  const settings: Record<string, string> = {
    statement_timeout: `${timeoutMs}`,
    lock_timeout: `${LOCK_MS}`,
    idle_in_transaction_session_timeout: `${timeoutMs + LOCK_MS}`,
    client_connection_check_interval: '1000',
    standard_conforming_strings: 'on',
    search_path: ['pg_catalog', ...schemas.map(pg.escapeIdentifier), 'pg_temp'].join(', '),
    work_mem: '16MB',
    max_parallel_workers_per_gather: '0',
    jit: 'off',
    datestyle: 'iso',
  }
  return Object.entries(settings)
    .map(([name, value]) =>
      name === 'search_path' ? `set local search_path = ${value}` : `set local ${name} = '${value}'`,
    )
    .join('; ')
}
