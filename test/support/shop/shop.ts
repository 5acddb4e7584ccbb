import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'
import type { SqlSettings } from '../../../tools/sql/access.ts'
import { useDatabase } from '../database.ts'
import { migrateDatabase } from '../server.ts'

export const SHOP_TABLES = { tables: ['orders', 'public.items'], writeTables: ['orders', 'watched'] }

/** A database of the operator's, with what agents may and may not see. Attackers own it, as the tests' role does. */
export function useShop() {
  const database = useDatabase(migrateDatabase)
  let pool: pg.Pool | undefined
  beforeAll(async () => {
    pool = new pg.Pool({ connectionString: database.url, max: 2 })
    // The database is dropped with whatever is still connected.
    pool.on('error', () => {})
    await pool.query(await readFile(new URL('tables.sql', import.meta.url), 'utf8'))
  })
  afterAll(() => pool?.end())
  return {
    get settings(): SqlSettings {
      return { url: database.url, writeUrl: database.url, functions: [], ...SHOP_TABLES }
    },
    get url() {
      return database.url
    },
    async rows<Row extends object>(text: string): Promise<Row[]> {
      if (pool === undefined) throw new Error('The shop is open from beforeAll on.')
      return (await pool.query<Row>(text)).rows
    },
  }
}
