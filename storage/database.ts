import type pg from 'pg'

export interface Queryable {
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string,
    values?: unknown[],
  ): Promise<{ rows: Row[]; rowCount: number | null }>
}

/** One SQL dialect and one code path, whichever PostgreSQL is underneath. */
export interface Database extends Queryable {
  /** For people: `PostgreSQL 15.4 at db.example:5432/app`, `embedded (PGlite, PostgreSQL 18)`. */
  readonly description: string
  /** True where this process is the only one that can be on the database. */
  readonly embedded: boolean
  /** What LangGraph's saver takes. Inside `transaction` use nothing but the given client: PGlite has one connection. */
  readonly pool: pg.Pool
  transaction<T>(work: (client: Queryable) => Promise<T>): Promise<T>
  /** Calls `onMessage` for each NOTIFY on the channel, and `onGap` where some may have been missed. */
  listen(channel: string, onMessage: (payload: string) => void, onGap: () => void): Promise<void>
  close(): Promise<void>
}

/** Runs `work` between `begin` and `commit` on one client of the pool. */
export async function inTransaction<T>(pool: pg.Pool, work: (client: Queryable) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    await client.query('begin')
    const result = await work(client)
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback').catch((cause: unknown) => {
      broken = cause instanceof Error ? cause : new Error(String(cause))
    })
    throw error
  } finally {
    // A client that could not even roll back is not given to anybody else.
    client.release(broken)
  }
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
