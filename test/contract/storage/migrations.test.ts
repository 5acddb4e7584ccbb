import { rm } from 'node:fs/promises'
import { inject, describe, expect, test } from 'vitest'
import { migrate } from '../../../storage/migrate.ts'
import { openStorage } from '../../../storage/open.ts'
import { cloneDatabase } from '../../support/database.ts'
import { onBothDatabases, type Place } from '../../support/each-database.ts'
import { temporaryDirectory, TEST_SECRET } from '../../support/server.ts'
import { openDatabase } from '../../support/storage.ts'

const open = ({ databaseUrl, ...place }: Place) =>
  openStorage({ databaseUrl, ...place, poolSize: 2, connectTimeoutMs: 3_000 })

onBothDatabases((database) => {
  test('a second migration changes nothing', async () => {
    const db = await openDatabase(database.place)
    try {
      const before = await schemaOf(db)
      expect(before.applied.length).toBeGreaterThan(0)
      await migrate(db)
      expect(await schemaOf(db)).toEqual(before)
    } finally {
      await db.close()
    }
  })

  test('a database of a newer Holdpoint is refused, with what to do, and stays as it was', async () => {
    const db = await openDatabase(database.place)
    await db.query(`insert into holdpoint_migrations (version, name) values (9999, '9999_later.sql')`)
    await db.close()
    await expect(open(database.place)).rejects.toThrow(
      /^The database has schema 9999, this Holdpoint knows \d+\. Run the newer Holdpoint, or use another database\.$/,
    )
    // It let go of the directory, and of the migration lock.
    const again = await openDatabase(database.place)
    await again.query('delete from holdpoint_migrations where version = 9999')
    await again.close()
    await (await open(database.place)).close()
  })
})

test('two migrations of a new embedded database at once come out as one', async () => {
  const dataDir = await temporaryDirectory()
  const db = await openDatabase({ dataDir })
  try {
    await Promise.all([migrate(db), migrate(db)])
    await expectOneOfEach(db)
  } finally {
    await db.close()
    await rm(dataDir, { recursive: true })
  }
})

describe.skipIf(inject('services').postgres === null)('on PostgreSQL', () => {
  test('three servers that start at once on a new database come out with one schema', async () => {
    const database = await cloneDatabase('template0', 'migrations')
    try {
      const place = { databaseUrl: database.url, secret: TEST_SECRET, dataDir: '' }
      const storages = await Promise.all([open(place), open(place), open(place)])
      await Promise.all(storages.map((storage) => storage.close()))
      const db = await openDatabase(place)
      try {
        await expectOneOfEach(db)
      } finally {
        await db.close()
      }
    } finally {
      await database.drop()
    }
  })
})

type Database = Awaited<ReturnType<typeof openDatabase>>

async function schemaOf(db: Database) {
  const applied = await db.query(
    'select version, name, applied_at::text from holdpoint_migrations order by 1',
  )
  const columns = await db.query(
    `select table_name, column_name, data_type, column_default from information_schema.columns
     where table_schema = 'public' order by 1, 2`,
  )
  const indexes = await db.query(`select indexdef from pg_indexes where schemaname = 'public' order by 1`)
  return { applied: applied.rows, columns: columns.rows, indexes: indexes.rows }
}

async function expectOneOfEach(db: Database): Promise<void> {
  const { applied, columns } = await schemaOf(db)
  const versions = applied.map(({ version }) => Number(version))
  expect(versions).toEqual(versions.map((_, index) => index + 1))
  const tables = new Set(columns.map((column) => column['table_name']))
  for (const table of [
    'threads',
    'runs',
    'events',
    'holds',
    'assistants',
    'checkpoints',
    'checkpoint_writes',
  ])
    expect(tables).toContain(table)
}
