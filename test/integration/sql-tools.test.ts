import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import type { ToolCallContext } from '../../tools/define.ts'
import { createSqlAccess, SQL_ACCESS, type SqlAccess, type SqlSettings } from '../../tools/sql/access.ts'
import { sqlExecute } from '../../tools/sql-execute.ts'
import { sqlQuery } from '../../tools/sql-query.ts'
import { useShop } from '../support/shop/shop.ts'
import { callWith, ranBy } from '../unit/tools/call-context.ts'

describe.skipIf(inject('services').postgres === null)('the SQL tools on PostgreSQL', () => {
  const shop = useShop()
  let access: (SqlAccess & { close(): Promise<void> }) | undefined
  beforeAll(() => {
    access = createSqlAccess(shop.settings)
  })
  afterAll(() => access?.close())

  const open = () => {
    if (access === undefined) throw new Error('The access is open from beforeAll on.')
    return access
  }
  const call = (more: Partial<ToolCallContext> = {}): ToolCallContext => ({
    ...callWith(SQL_ACCESS, open()),
    idempotencyKey: newId(),
    attempt: newId(),
    ...more,
  })
  const query = (text: string, max_rows = 100) => ranBy(sqlQuery, { query: text, max_rows }, call())
  const execute = (statement: string, expected_rows?: number, context = call()) =>
    ranBy(sqlExecute, { statement, expected_rows }, context)

  describe('sql_query', () => {
    test('reads rows, and rounds nothing', async () => {
      expect(
        await query(
          `select id, total, paid, placed, notes, null as none, 9007199254740993 as big, id::float8 / 4 as quarter, 'x' as id
           from orders where id = 1`,
        ),
      ).toEqual({
        columns: ['id', 'total', 'paid', 'placed', 'notes', 'none', 'big', 'quarter', 'id'],
        rows: [
          [
            1,
            '10.10',
            false,
            expect.stringMatching(/^2026-01-01/),
            '{"n": 1}',
            null,
            '9007199254740993',
            0.25,
            'x',
          ],
        ],
        more: null,
        cut_values: 0,
      })
    })

    test.each([
      'with o as (select customer, total from public.orders) select count(*), sum(total) from o;  -- that is all',
      'select o.customer, i.sku from orders o join items i on i.order_id = o.id order by 1, 2 limit 3',
      `select extract(year from placed) as y, count(*) filter (where paid) from orders group by grouping sets ((y), ()) `,
      `select rank() over (partition by paid order by total desc) from orders`,
      `select coalesce(notes ->> 'n', 'none'), upper(customer), placed at time zone 'UTC' from orders where customer like '%1' escape '!'`,
      'select s.n, s.avg_total from (select count(*) as n, avg(total) as avg_total from orders) s',
      'with recursive t(n) as (values (1) union all select n + 1 from t where n < 5) select sum(n) from t',
      'values (1, $$two$$), (3, null)',
      'table orders',
      `select case when paid then 'yes' else 'no' end, greatest(1, id), array[1, 2], (array[3, 4])[1] from orders`,
    ])('takes what people write: %s', async (text) => {
      const { rows } = (await query(text)) as { rows: unknown[][] }
      expect(rows.length).toBeGreaterThan(0)
    })

    test('says when there is more, by rows and by size, and cuts long values', async () => {
      expect(await query('select id from orders order by id', 3)).toMatchObject({
        rows: [[1], [2], [3]],
        more: 'rows',
      })
      expect(await query('select id from orders order by id limit 3', 3)).toMatchObject({ more: null })
      const wide = (await query(
        `select string_agg(md5(n::text), '') from generate_series(1, 3000) n, generate_series(1, 60) m group by m`,
      )) as { rows: string[][]; more: string; cut_values: number }
      expect(wide.more).toBe('size')
      expect(wide.cut_values).toBe(wide.rows.length)
      expect(wide.rows[0]?.[0]).toHaveLength(2_001)
    })

    // Each is refused before it runs, or by the server; what the tests' role could do, being a superuser.
    test.each([
      ['several statements', 'select 1; delete from orders'],
      ['several, the second in a comment’s end', 'select 1 /* ; */; select 2'],
      ['none', '-- nothing'],
      ['a write', 'delete from orders'],
      ['a write inside a CTE', 'with d as (delete from orders returning *) select * from d'],
      [
        'a write inside a CTE of a subquery',
        'select * from (with d as (delete from orders returning *) select * from d) x',
      ],
      ['a write inside a function', 'select writes_journal()'],
      ['into a table', 'select * into stolen from orders'],
      ['locks', 'select * from orders for update'],
      ['pg_read_file', `select pg_read_file('/etc/passwd')`],
      ['pg_read_file, qualified', `select pg_catalog.pg_read_file('/etc/passwd')`],
      ['pg_read_file, quoted', `select "pg_read_file"('/etc/passwd')`],
      ['pg_read_file, in escapes', String.raw`select U&"pg\005fread_file"('/etc/passwd')`],
      ['pg_read_file, in FROM', `select * from pg_read_file('/etc/passwd')`],
      ['pg_read_file, in ROWS FROM', `select * from rows from (pg_read_file('/etc/passwd')) x`],
      ['pg_read_file, as a field', `select ('/etc/passwd'::text).pg_read_file`],
      ['pg_read_file, as a column', `select t.pg_read_file from unnest(array['/etc/passwd']) t`],
      ['pg_read_file, in ORDER BY', `select 1 order by pg_read_file('/etc/passwd')`],
      ['pg_read_file, in LIMIT', `select 1 limit length(pg_read_file('/etc/passwd'))`],
      [
        'pg_read_file, in a window',
        `select count(*) over (order by pg_read_file('/etc/passwd')) from orders`,
      ],
      [
        'pg_read_file, in FILTER',
        `select count(*) filter (where pg_read_file('/etc/passwd') > '') from orders`,
      ],
      ['pg_read_file, in a JOIN', `select 1 from orders o join items i on pg_read_file('/etc/passwd') > ''`],
      ['pg_ls_dir', `select pg_ls_dir('/')`],
      ['lo_import', `select lo_import('/etc/passwd')`],
      ['dblink', `select * from dblink('dbname=postgres', 'select 1') as t(n int)`],
      ['dblink_exec', `select dblink_exec('dbname=postgres', 'create table x()')`],
      ['copy', 'copy orders to stdout'],
      ['copy … program', `copy (select 1) to program 'touch /tmp/holdpoint-pwned'`],
      ['pg_sleep', 'select pg_sleep(60)'],
      ['set_config', `select set_config('transaction_read_only', 'off', false)`],
      ['set', 'set transaction read write'],
      ['query_to_xml', `select query_to_xml('select * from hidden.secrets', true, true, '')`],
      ['table_to_xml', `select table_to_xml('hidden.secrets', true, true, '')`],
      ['ts_stat', `select * from ts_stat('select to_tsvector(secret) from hidden.secrets')`],
      ['nextval', `select nextval('numbers')`],
      ['pg_terminate_backend', 'select pg_terminate_backend(pg_backend_pid())'],
      ['pg_cancel_backend', 'select pg_cancel_backend(1)'],
      ['advisory locks', 'select pg_advisory_lock(1)'],
      ['pg_notify', `select pg_notify('x', 'y')`],
      ['do', `do $$ begin perform 1; end $$`],
      ['call', 'call x()'],
      ['explain analyze', 'explain analyze select pg_sleep(60)'],
      ['prepare', 'prepare x as select 1'],
      ['listen', 'listen x'],
      ['another table', 'select * from hidden.secrets'],
      ['another table of the same schema', 'select * from salaries'],
      ['another table through a subquery', 'select (select secret from hidden.secrets limit 1)'],
      ['another table by TABLE', 'table hidden.secrets'],
      [
        'another table under a CTE’s name elsewhere',
        'select * from salaries, (with salaries as (select 1) select 1) x',
      ],
      [
        'another table under its own CTE’s name',
        'with salaries as (select * from salaries) select * from salaries',
      ],
      ['the catalog', 'select * from pg_authid'],
      ['the catalog, qualified', 'select * from pg_catalog.pg_shadow'],
      ['the catalog’s views', 'select * from information_schema.tables'],
      ['another database', 'select * from postgres.pg_catalog.pg_class'],
      ['who it is', 'select current_user'],
      ['a function of the database under a harmless name', 'select lower(total) from orders'],
      ['an operator by its schema', 'select 1 operator(public.+) 2'],
      ['an operator in ORDER BY', 'select 1 order by 1 using operator(public.<)'],
      ['a parameter', 'select $1'],
      ['a sample by a method', 'select * from orders tablesample system (1)'],
      ['XML', `select xmlparse(document '<a/>')`],
      ['repeat', `select repeat('x', 1000000000)`],
      ['a text that would end its wrapping', 'select 1) q; drop table orders; --'],
      ['a text that would end its wrapping in a CTE', 'select 1) q, (select secret from hidden.secrets'],
      [
        'nested very deeply',
        `select ${'('.repeat(4_900)}1${')'.repeat(4_900)} + ${'- '.repeat(50)}1 from salaries`,
      ],
    ])('refuses %s', async (_, text) => {
      await expect(query(text)).rejects.toMatchObject({
        name: 'ToolError',
        code: expect.stringMatching(/^(DENIED|INVALID_ARGS)$/),
      })
      expect(await shop.rows('select count(*)::int as n from orders')).toEqual([{ n: 1_000 }])
      expect(await shop.rows('select * from journal')).toEqual([])
    })

    test('reads only even where its checks would let a write pass', async () => {
      const trusting = createSqlAccess({ ...shop.settings, functions: ['writes_journal'] })
      try {
        const asked = ranBy(
          sqlQuery,
          { query: 'select writes_journal()', max_rows: 1 },
          callWith(SQL_ACCESS, trusting),
        )
        await expect(asked).rejects.toMatchObject({
          code: 'DENIED',
          message: expect.stringContaining('only reads'),
        })
        expect(await shop.rows('select * from journal')).toEqual([])
      } finally {
        await trusting.close()
      }
    })

    test('calls a function of the database that the operator names', async () => {
      const trusting = createSqlAccess({ ...shop.settings, functions: ['vat'] })
      try {
        const args = { query: 'select vat(total), public.vat(1) from orders where id = 1', max_rows: 1 }
        expect(await ranBy(sqlQuery, args, callWith(SQL_ACCESS, trusting))).toMatchObject({
          rows: [['2.02', '0.20']],
        })
      } finally {
        await trusting.close()
      }
    })

    test('ten million rows cost bounded time and memory', async () => {
      const before = process.memoryUsage().rss
      const started = performance.now()
      expect(await query('select n, md5(n::text) from generate_series(1, 10000000) n', 500)).toMatchObject({
        more: 'rows',
      })
      await expect(
        query(
          'select count(*) from (select md5(a::text || b::text) m from generate_series(1, 100000) a, generate_series(1, 100000) b) x where m > $$0$$',
        ),
      ).rejects.toMatchObject({ code: 'TIMEOUT' })
      expect(performance.now() - started).toBeLessThan(14_000)
      expect(process.memoryUsage().rss - before).toBeLessThan(100e6)
    })

    test('a database that says too much, also in an error, is not listened to', async () => {
      const before = process.memoryUsage().rss
      // Its complaint repeats the value, which no limit of rows or cells bounds.
      const huge = `select string_agg(md5(n::text), '')::int from generate_series(1, 1000000) n`
      await expect(query(huge)).rejects.toMatchObject({
        name: 'ToolError',
        message: expect.stringContaining('said more than'),
      })
      expect(process.memoryUsage().rss - before).toBeLessThan(100e6)
      expect(await query('select 1 as one')).toMatchObject({ rows: [[1]] })
    })

    test('connections that the database ends, with a query or without, fail that query and nothing else', async () => {
      const ended = `select count(pg_terminate_backend(pid)) as n from pg_stat_activity
        where application_name = 'holdpoint sql tools' and datname = current_database() and state = 'active'`
      const asked = query('select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b')
      const failed = expect(asked).rejects.toThrow()
      await vi.waitFor(async () => expect(await shop.rows(ended)).not.toEqual([{ n: '0' }]))
      await failed
      expect(await query('select 1 as one')).toMatchObject({ rows: [[1]] })
    })

    test('a call that is given up leaves nothing running', async () => {
      const abort = new AbortController()
      const text = 'select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b'
      const asked = ranBy(sqlQuery, { query: text, max_rows: 1 }, call({ signal: abort.signal }))
      const running = () =>
        shop.rows<{ n: number }>(
          `select count(*)::int as n from pg_stat_activity
           where datname = current_database() and state = 'active' and application_name = 'holdpoint sql tools'`,
        )
      await expect.poll(running, { timeout: 10_000 }).toEqual([{ n: 1 }])
      abort.abort(new Error('given up'))
      await expect(asked).rejects.toThrow('given up')
      await expect.poll(running, { timeout: 10_000 }).toEqual([{ n: 0 }])
      expect(await query('select 1')).toMatchObject({ rows: [[1]] })
    })

    test('its preview is the plan', async () => {
      const { preview } = sqlQuery
      const shown = await preview?.({ query: 'select * from orders where id = 3', max_rows: 1 }, call())
      expect(shown).toMatchObject({
        kind: 'text',
        text: expect.stringContaining('Index Scan using orders_pkey'),
      })
    })
  })

  describe('sql_execute', () => {
    test.each([
      ['a query', 'select 1'],
      ['several statements', 'update orders set paid = true where id = 1; delete from orders'],
      ['a table that it may only read', 'delete from items'],
      ['another table', `insert into salaries values ('eve', 1)`],
      [
        'what it would read from another table',
        'update orders set customer = (select secret from hidden.secrets)',
      ],
      ['what it would read from another table, in a WHERE', 'delete from orders using salaries where true'],
      ['a second write in a CTE', 'with d as (delete from orders returning *) update orders set paid = true'],
      ['its own ledger', `insert into holdpoint_effects values ('x', 'x', 'done')`],
      ['RETURNING', 'delete from orders returning *'],
      ['a function that does more', `update orders set customer = pg_read_file('/etc/passwd')`],
      ['nextval', `insert into orders (id, customer, total) values (nextval('numbers'), 'x', 1)`],
      ['a change of the table', 'truncate orders'],
      ['the catalog', `update pg_authid set rolsuper = true`],
      ['merge', 'merge into orders using items on true when matched then delete'],
    ])('refuses %s', async (_, text) => {
      await expect(execute(text)).rejects.toMatchObject({ name: 'ToolError', code: 'DENIED' })
      expect(await shop.rows('select count(*)::int as n from orders where not paid')).toEqual([{ n: 1_000 }])
    })

    test('its preview counts what it would change, also by cascades, and changes nothing', async () => {
      const shown = await sqlExecute.preview?.({ statement: 'delete from orders where id <= 3' }, call())
      expect(shown).toEqual({
        kind: 'text',
        text: 'It deletes 3 rows of orders.\npublic.items: 9 deleted\npublic.orders: 3 deleted\nTried in a transaction that was rolled back.',
      })
      const all = await sqlExecute.preview?.({ statement: 'update orders set paid = true' }, call())
      expect(all).toMatchObject({
        text: expect.stringMatching(
          /^It has no WHERE: it is about every row of orders\.\nIt updates 1000 rows/,
        ),
      })
      expect(await shop.rows('select count(*)::int as n from orders where not paid')).toEqual([{ n: 1_000 }])
    })

    test('a table with triggers is not tried: they might do what no rollback takes back', async () => {
      const shown = await sqlExecute.preview?.({ statement: 'update watched set n = 1' }, call())
      expect(shown).toMatchObject({ text: expect.stringContaining('It was not tried') })
      expect(shown).toMatchObject({ text: expect.stringContaining('watched: trigger tell') })
      expect(await shop.rows('select * from journal')).toEqual([])
    })

    test('another number of rows than was expected changes nothing', async () => {
      await expect(execute('delete from orders where id < 3', 1)).rejects.toMatchObject({
        message: 'It would have changed 2 rows, not 1. Nothing was changed.',
      })
      expect(await shop.rows('select count(*)::int as n from orders')).toEqual([{ n: 1_000 }])
    })

    test('the same call again changes nothing, and says what it changed', async () => {
      const context = call()
      const grow = 'update watched set n = n + 1 where id = 2'
      expect(await execute(grow, 1, context)).toEqual({ rows_changed: 1 })
      expect(await execute(grow, 1, { ...context, attempt: newId() })).toEqual({ rows_changed: 1 })
      expect(await shop.rows('select n from watched where id = 2')).toEqual([{ n: 1 }])
      expect(await sqlExecute.probe?.({ statement: grow }, { ...context, attempt: newId() })).toEqual({
        state: 'happened',
        result: { rows_changed: 1 },
      })
    })

    test('once a probe has said that it can no longer happen, only the one that asked may do it', async () => {
      const context = call()
      const grow = 'update watched set n = n + 10 where id = 1'
      const later = { ...context, attempt: newId() }
      expect(await sqlExecute.probe?.({ statement: grow }, later)).toEqual({ state: 'can_no_longer_happen' })
      await expect(execute(grow, 1, context)).rejects.toThrow(
        'Another execution has taken this statement over.',
      )
      expect(await execute(grow, 1, later)).toEqual({ rows_changed: 1 })
      expect(await shop.rows('select n from watched where id = 1')).toEqual([{ n: 10 }])
    })

    test('an execution that is under way while a probe asks is waited for, and then known', async () => {
      const context = call()
      const held = shop.rows<{ n: number }>(
        `begin; insert into holdpoint_effects values ('${context.idempotencyKey}', 'zombie', 'done', 7); select pg_sleep(0.5); commit`,
      )
      await expect
        .poll(() =>
          shop.rows(`select 1 from pg_stat_activity where query like '%zombie%' and wait_event = 'PgSleep'`),
        )
        .not.toEqual([])
      expect(await sqlExecute.probe?.({ statement: 'x' }, context)).toEqual({
        state: 'happened',
        result: { rows_changed: 7 },
      })
      await held
    })

    test('without the table nobody but a person knows what became of it', async () => {
      const bare: SqlSettings = {
        ...shop.settings,
        tables: ['hidden.secrets'],
        writeTables: ['hidden.secrets'],
      }
      const other = createSqlAccess(bare)
      try {
        const context = callWith(SQL_ACCESS, other)
        expect(await sqlExecute.probe?.({ statement: 'x' }, context)).toEqual({ state: 'unknown' })
        const insert = { statement: `insert into hidden.secrets values ('another')` }
        expect(await ranBy(sqlExecute, insert, context)).toEqual({ rows_changed: 1 })
      } finally {
        await other.close()
      }
    })
  })

  test('without a database the tools say who has to set it up', async () => {
    const none = { reading: undefined, writing: undefined }
    const context = callWith(SQL_ACCESS, none)
    await expect(ranBy(sqlQuery, { query: 'select 1', max_rows: 1 }, context)).rejects.toThrow(
      'HOLDPOINT_SQL_URL',
    )
    await expect(ranBy(sqlExecute, { statement: 'x' }, context)).rejects.toThrow('HOLDPOINT_SQL_WRITE_URL')
  })
})
