import { readdir, readFile } from 'node:fs/promises'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import type pg from 'pg'
import type { Connection } from './database.ts'

const DIRECTORY = new URL('./migrations/', import.meta.url)
/** Any number will do, as long as every version of Holdpoint takes the same. */
const LOCK = 7_218_104_233

interface Migration {
  version: number
  name: string
}

/**
 * Brings the schema to this version: LangGraph's tables, then ours, under one advisory lock, so that servers that
 * start together do not race. Throws where the database belongs to a newer Holdpoint.
 */
export async function migrate(db: Pick<Connection, 'pool'>): Promise<void> {
  const known = await migrations()
  const client = await db.pool.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK])
    try {
      await client.query(
        'create table if not exists holdpoint_migrations (version integer primary key, name text not null, applied_at timestamptz not null default now())',
      )
      const { rows } = await client.query<{ version: number }>(
        'select version from holdpoint_migrations order by version',
      )
      const applied = new Set(rows.map((row) => row.version))
      const newest = Math.max(0, ...applied)
      const ours = known.at(-1)?.version ?? 0
      if (newest > ours) {
        throw new Error(
          `The database has schema ${newest}, this Holdpoint knows ${ours}. Run the newer Holdpoint, or use another database.`,
        )
      }
      await new PostgresSaver(poolOfOne(client)).setup()
      for (const migration of known.filter(({ version }) => !applied.has(version)))
        await apply(client, migration)
    } finally {
      await client.query('select pg_advisory_unlock($1)', [LOCK])
    }
  } finally {
    client.release()
  }
}

async function migrations(): Promise<Migration[]> {
  const names = (await readdir(DIRECTORY)).filter((name) => /^\d{4}_.*\.sql$/.test(name)).toSorted()
  return names.map((name) => ({ version: Number.parseInt(name, 10), name }))
}

async function apply(client: pg.PoolClient, { version, name }: Migration): Promise<void> {
  const sql = await readFile(new URL(name, DIRECTORY), 'utf8')
  await client.query('begin')
  try {
    await client.query(sql)
    await client.query('insert into holdpoint_migrations (version, name) values ($1, $2)', [version, name])
    await client.query('commit')
  } catch (cause) {
    await client.query('rollback')
    throw new Error(`Migration ${name} failed. The database is as it was before it.`, { cause })
  }
}

/** The saver's migrations run on the client that holds the lock: PGlite has no second one. */
function poolOfOne(client: pg.PoolClient): pg.Pool {
  const borrowed = { query: client.query.bind(client), release() {} }
  return { connect: () => Promise.resolve(borrowed) } as unknown as pg.Pool
}
