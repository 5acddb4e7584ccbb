import type { Writable } from 'node:stream'
import pg from 'pg'
import { answered, type Connection, inTransaction, isPrepared } from './database.ts'

const RECONNECT_MS = 500
/** A process that stops in the middle of a transaction holds the thread's lock, and with it every takeover, no longer. */
const IDLE_IN_TRANSACTION_MS = 5_000

/** Connects to the server, or throws with what to do about it. `close()` ends every connection. */
export async function openPostgres(
  connectionString: string,
  options: { poolSize: number; connectTimeoutMs: number },
): Promise<Connection> {
  const pool = new pg.Pool({
    connectionString,
    max: options.poolSize,
    connectionTimeoutMillis: options.connectTimeoutMs,
    application_name: 'holdpoint',
    // What a transaction does not wait for is sent at once.
    pipeline: true,
    // A connection knows the prepared statements by their plans: a new one begins with none.
    idleTimeoutMillis: 0,
    keepAlive: true,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
  })
  // A connection that breaks is replaced by the pool, and the statement on it fails. Without a listener its error would
  // end the process: the pool's hears of idle ones, the client's own of one that is lent out for a transaction.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  let version: string
  try {
    const { rows } = await pool.query<{ server_version: string }>('show server_version')
    version = rows[0]?.server_version ?? ''
  } catch (cause) {
    await pool.end()
    const reason =
      cause instanceof Error ? cause.message || String((cause as { code?: string }).code) : String(cause)
    throw new Error(
      `Cannot reach the database at ${place(connectionString)} (${reason}). Start it, or correct DATABASE_URL.`,
      {
        cause,
      },
    )
  }
  if (Number.parseInt(version, 10) < 15) {
    await pool.end()
    throw new Error(
      `PostgreSQL ${version} is too old: Holdpoint needs 15 or newer. Upgrade it, or correct DATABASE_URL.`,
    )
  }
  const listeners: { close(): Promise<void> }[] = []
  return {
    description: `PostgreSQL ${version.split(' ')[0]} at ${place(connectionString)}`,
    embedded: false,
    pool,
    query: (text, values) => answered(pool.query(statement(text, values))),
    transaction: (work) =>
      inTransaction(pool, work, (client) => ({
        query(text, values) {
          sendTogether(client)
          return client.query(statement(text, values))
        },
      })),
    async listen(channel, onMessage, onGap) {
      listeners.push(await listenOn(connectionString, channel, onMessage, onGap))
    },
    async close() {
      await Promise.all(listeners.map((listener) => listener.close()))
      await pool.end()
    },
  }
}

/** What this tick sends goes in one write: the call to the system costs more than the statement. */
function sendTogether(client: pg.PoolClient): void {
  const { stream } = (client as unknown as { connection: { stream: Writable } }).connection
  stream.cork()
  process.nextTick(() => stream.uncork())
}

const names = new Map<string, string>()

/** A prepared statement has a name, by which its connection knows it again. */
function statement(text: string, values: unknown[] | undefined): pg.QueryConfig {
  if (!isPrepared(text)) return values === undefined ? { text } : { text, values }
  const name = names.get(text) ?? `holdpoint_${names.size}`
  names.set(text, name)
  return { name, text, ...(values === undefined ? {} : { values }) }
}

/** Host, port and database, without the password. */
function place(connectionString: string): string {
  if (!URL.canParse(connectionString)) return 'DATABASE_URL'
  const url = new URL(connectionString)
  return `${url.hostname || 'localhost'}:${url.port || '5432'}${url.pathname}`
}

/** A connection of its own that listens, and comes back when it breaks. */
async function listenOn(
  connectionString: string,
  channel: string,
  onMessage: (payload: string) => void,
  onGap: () => void,
): Promise<{ close(): Promise<void> }> {
  let closed = false
  let client: pg.Client | undefined
  let retry: NodeJS.Timeout | undefined

  const connect = async () => {
    const next = new pg.Client({ connectionString, application_name: 'holdpoint listen', keepAlive: true })
    client = next
    next.on('notification', (message) => onMessage(message.payload ?? ''))
    next.on('error', () => {})
    next.on('end', again)
    await next.connect()
    await next.query(`listen ${pg.escapeIdentifier(channel)}`)
  }
  const again = () => {
    if (closed) return
    clearTimeout(retry)
    retry = setTimeout(() => {
      connect().then(onGap, again)
    }, RECONNECT_MS)
  }
  await connect()
  return {
    async close() {
      closed = true
      clearTimeout(retry)
      await client?.end().catch(() => {})
    },
  }
}
