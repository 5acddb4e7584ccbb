import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { z } from 'zod'
import { Services } from '../../runtime/services.ts'
import { WORKSPACES } from '../../runtime/workspaces.ts'
import { type Capabilities, reachOf } from '../../tools/capabilities.ts'
import { defineTool, type PreviewContext } from '../../tools/define.ts'
import { HTTP_ACCESS } from '../../tools/http-guard.ts'
import { showCall } from '../../tools/preview.ts'
import { createSqlAccess, SQL_ACCESS, type SqlAccess } from '../../tools/sql/access.ts'
import { createWorkspaces } from '../../tools/workspace.ts'
import { temporaryDirectory } from '../support/server.ts'
import { useShop } from '../support/shop/shop.ts'
import { THREAD } from '../unit/tools/call-context.ts'

const OTHER = '9c0e7d52-6a43-4f0b-8a4e-2f6f1d0b7a22'
const denied = expect.objectContaining({ name: 'ToolError', code: 'DENIED' })

describe('a tool is handed what it declares: ', () => {
  let server: Server | undefined
  let services = new Services()
  const journal: string[] = []
  const host = () => `127.0.0.1:${(server?.address() as AddressInfo | undefined)?.port ?? 0}`
  beforeAll(async () => {
    server = createServer(({ method, url, headers }, response) => {
      journal.push(`${method} ${url} ${String(headers['x-key'] ?? '')}`)
      if (url === '/away') response.writeHead(302, { location: `http://localhost:${port()}/stolen` }).end()
      else if (url === '/none') response.writeHead(204).end()
      else if (url === '/much') response.end(Buffer.alloc(9 * 1024 * 1024))
      else response.writeHead(201, { 'x-other': 'as it is' }).end('{"ok":true}')
    })
    await new Promise<void>((done) => server?.listen(0, '127.0.0.1', done))
    const workspaces = createWorkspaces(await temporaryDirectory())
    await workspaces.write(THREAD, 'reports/a.txt', Buffer.from('a'))
    await workspaces.write(THREAD, 'secret.txt', Buffer.from('s'))
    await workspaces.write(OTHER, 'reports/b.txt', Buffer.from('b'))
    services = new Services().with(WORKSPACES, workspaces).with(HTTP_ACCESS, {
      hosts: ['example.com'],
      allowPrivate: [host()],
      resolve: async () => ['127.0.0.1'],
    })
  })
  const port = () => host().split(':')[1]
  afterAll(() => server?.close())
  const handed = (capabilities?: Capabilities, given = services) =>
    reachOf({ name: 'mine', capabilities }, THREAD, given, AbortSignal.timeout(20_000))

  test('hosts', async () => {
    const { fetch } = handed({ hosts: [host()] })
    const answer = await fetch(`http://${host()}/a`, {
      method: 'POST',
      headers: { 'x-key': 'k' },
      body: '{}',
    })
    expect([answer.status, answer.headers.get('x-other'), await answer.json()]).toEqual([
      201,
      'as it is',
      { ok: true },
    ])
    expect((await fetch(new URL(`http://${host()}/none`))).status).toBe(204)
    expect(journal).toEqual(['POST /a k', 'GET /none '])
    await expect(fetch(`http://${host()}/much`)).rejects.toMatchObject({ code: 'INTERNAL' })
  })

  test('no other host, not by a redirect, and a private address only where the operator allows it', async () => {
    journal.length = 0
    await expect(handed({ hosts: [host()] }).fetch(`http://${host()}/away`)).rejects.toEqual(denied)
    expect(journal).toEqual(['GET /away '])
    const away = [
      handed({ hosts: ['example.com'] }).fetch(`http://${host()}/`),
      handed({ hosts: [] }).fetch(`http://${host()}/`),
      handed({ paths: ['*'] }).fetch(`http://${host()}/`),
      // It is on the operator's list for http_fetch, and nobody declared it here.
      handed().fetch('http://example.com/'),
      handed({ hosts: [`localhost:${port()}`] }).fetch(`http://localhost:${port()}/`),
      handed({ hosts: [host()] }, new Services()).fetch(`http://${host()}/`),
    ]
    for (const request of away) await expect(request).rejects.toEqual(denied)
    expect(journal).toEqual(['GET /away '])
  })

  test('paths of its own thread', async () => {
    const { files } = handed({ paths: ['reports/*', 'one.txt'] })
    expect((await files.list()).map(({ path }) => path)).toEqual(['reports/a.txt'])
    expect(Buffer.from((await files.read('reports/a.txt')).bytes).toString()).toBe('a')
    await files.write('one.txt', 'text')
    await files.remove('one.txt')
    for (const path of ['secret.txt', 'reports', 'two.txt']) {
      await expect(files.read(path)).rejects.toEqual(denied)
      await expect(files.write(path, 'x')).rejects.toEqual(denied)
      await expect(files.remove(path)).rejects.toEqual(denied)
    }
    for (const path of ['reports/../secret.txt', `reports/../../${OTHER}/reports/b.txt`, 'reports/\0'])
      await expect(files.read(path)).rejects.toMatchObject({ name: 'ToolError', code: 'INVALID_ARGS' })
    await expect(handed({}).files.read('secret.txt')).rejects.toEqual(denied)
    expect(await handed().files.list()).toEqual([])
  })

  test('no services beside them, in a preview neither', async () => {
    expect(() => handed({}).service(WORKSPACES)).toThrow('declares its capabilities')
    expect(handed().service(WORKSPACES)).toBeDefined()
    const preview = async (_args: object, { files, service }: PreviewContext) => {
      const text = `${(await files.list()).length} file`
      expect(() => service(WORKSPACES)).toThrow('declares its capabilities')
      return { kind: 'text' as const, text }
    }
    const tool = defineTool({
      name: 'mine',
      description: 'Mine.',
      schema: z.object({}),
      risk: 'low',
      effect: 'none',
      capabilities: { paths: ['reports/*'] },
      run: async () => null,
      preview,
    })
    const run = { services, signal: new AbortController().signal }
    const shown = await showCall(tool as never, {}, { threadId: THREAD, callId: 'c' }, run)
    expect(shown.preview).toEqual({ kind: 'text', text: '1 file' })
  })

  describe.skipIf(inject('services').postgres === null)('tables', () => {
    const shop = useShop()
    let access: (SqlAccess & { close(): Promise<void> }) | undefined
    beforeAll(() => {
      access = createSqlAccess(shop.settings)
    })
    afterAll(() => access?.close())

    test('of those that the operator lets agents read', async () => {
      const given = services.with(SQL_ACCESS, access as SqlAccess)
      const { query } = handed({ tables: ['orders', 'hidden.secrets'] }, given)
      expect(await query('select count(*) from orders')).toMatchObject({ rows: [[1_000]] })
      expect((await query('select id from orders order by id', { maxRows: 2 })).rows).toEqual([[1], [2]])
      for (const text of [
        'select * from items',
        'select * from hidden.secrets',
        'select (select count(*) from items) from orders',
        'delete from orders',
      ])
        await expect(query(text)).rejects.toEqual(denied)
      await expect(handed({ hosts: ['x'] }, given).query('select * from orders')).rejects.toEqual(denied)
      await expect(handed({ tables: ['orders'] }).query('select 1')).rejects.toThrow('No database is set up')
    })
  })
})
