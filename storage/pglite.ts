import { access, constants, mkdir } from 'node:fs/promises'
import { PGlite, type Results } from '@electric-sql/pglite'
import type pg from 'pg'
import { type Connection, inTransaction, type Queryable } from './database.ts'
import { lockDirectory } from './directory-lock.ts'
import { ensureCluster } from './embedded-cluster.ts'

/** Opens the embedded database in `dataDir`, which no other process may use at the same time. */
export async function openPglite(dataDir: string): Promise<Connection> {
  await makeDirectory(dataDir)
  const lock = await lockDirectory(dataDir)
  try {
    const db = await PGlite.create(await ensureCluster(dataDir))
    const pool = poolOver(db)
    const { rows } = await db.query<{ server_version: string }>('show server_version')
    return {
      description: `embedded (PGlite, PostgreSQL ${rows[0]?.server_version ?? ''}) in ${dataDir}`,
      embedded: true,
      pool,
      query: (text, values) => pool.query(text, values),
      transaction: (work) => inTransaction(pool, work),
      async listen(channel, onMessage) {
        await db.listen(channel, onMessage)
      },
      async close() {
        await pool.end()
        await lock.release()
      },
    }
  } catch (cause) {
    await lock.release()
    throw new Error(
      `Cannot open the embedded database in ${dataDir}. Move it away to start afresh, or set DATABASE_URL.`,
      {
        cause,
      },
    )
  }
}

async function makeDirectory(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true })
    await access(dataDir, constants.W_OK)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new Error(
      `Cannot use the data directory ${dataDir} (${code}). Make it a directory that can be written, or set HOLDPOINT_DATA_DIR.`,
      { cause },
    )
  }
}

/** The part of `pg.Pool` that we and LangGraph's saver use, over PGlite's one connection: one client at a time, in order. */
function poolOver(db: PGlite): pg.Pool {
  let last: Promise<void> = Promise.resolve()
  let ended = false

  const acquire = async (): Promise<() => void> => {
    if (ended) throw new Error('The embedded database is closed.')
    let release = () => {}
    const before = last
    last = new Promise((resolve) => {
      release = resolve
    })
    await before
    return release
  }
  const query: Queryable['query'] = async (text, values) => {
    const release = await acquire()
    try {
      return await run(db, text, values)
    } finally {
      release()
    }
  }
  const pool = {
    query,
    async connect() {
      const release = await acquire()
      return { query: (text: string, values?: unknown[]) => run(db, text, values), release }
    },
    async end() {
      if (ended) return
      const release = await acquire()
      ended = true
      await db.close()
      release()
    },
    on() {
      return pool
    },
  }
  return pool as unknown as pg.Pool
}

/** As `pg` does: without values the simple protocol, which takes several statements. */
async function run<Row extends pg.QueryResultRow>(
  db: PGlite,
  text: string,
  values: unknown[] | undefined,
): Promise<{ rows: Row[]; rowCount: number | null }> {
  const result: Results<Row> | undefined =
    values === undefined || values.length === 0
      ? ((await db.exec(text)).at(-1) as Results<Row> | undefined)
      : await db.query<Row>(text, values)
  const rows = result?.rows ?? []
  return { rows, rowCount: rows.length > 0 ? rows.length : (result?.affectedRows ?? 0) }
}
