import { cpSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from '@langchain/langgraph-sdk'
import { beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEmbedded } from '../../support/each-database.ts'
import { temporaryDirectory } from '../../support/server.ts'
import { useStage } from '../../support/stage.ts'

const GUARDED = new URL('../../support/guarded/', import.meta.url).pathname

const APP = `
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { routePath } from 'hono/route'

const other = new Hono().get('/inside', (c) => c.json({ inside: c.req.path }))

export const app = new Hono()
  .use('*', async (c, next) => {
    if (c.req.method === 'POST' && c.req.path.endsWith('/runs/wait')) {
      const body = await c.req.json()
      c.req.bodyCache.json = Promise.resolve({ ...body, config: { configurable: { tone: 'calm' } } })
    }
    await next()
    c.header('x-served-by', 'shop')
  })
  .get('/shop/hello', (c) => c.json({ route: routePath(c) }))
  .all('/shop/all', (c) => c.json({ all: true }))
  .all('/threads/mine', (c) => c.json({ mine: true }))
  .mount('/mounted', other.fetch)
  .post('/shop/size', async (c) => c.json({ size: (await c.req.text()).length }))
  .get('/shop/refuses', () => { throw new HTTPException(402, { message: 'Pay first.' }) })
  .get('/shop/fails', () => { throw new Error('a secret') })
  .get('/shop/callback', (c) => c.redirect('/console'))
`

/** A project that brings its own copy of Hono, as one that is installed beside Holdpoint does. */
function useProject(http: object): Record<string, string> {
  const env: Record<string, string> = {}
  beforeAll(async () => {
    const directory = await temporaryDirectory()
    env['HOLDPOINT_CONFIG'] = join(directory, 'langgraph.json')
    await mkdir(join(directory, 'node_modules'))
    cpSync('node_modules/hono', join(directory, 'node_modules/hono'), { recursive: true })
    await writeFile(join(directory, 'app.mjs'), APP)
    const project = {
      graphs: { echo: `${GUARDED}graph.ts:echo` },
      auth: { path: `${GUARDED}auth.ts:auth` },
      http: { app: './app.mjs:app', ...http },
    }
    await writeFile(env['HOLDPOINT_CONFIG'], JSON.stringify(project))
    return () => rm(directory, { recursive: true, force: true })
  })
  return env
}

const ALICE = { authorization: 'Bearer alice' }
const NAVIGATION = {
  'sec-fetch-site': 'cross-site',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
}

onEmbedded((database) => {
  describe("the project's routes, by its own copy of Hono", () => {
    const stage = useStage(database, useProject({}))

    test('are served as that copy serves them', async () => {
      expect((await stage.http('GET', '/shop/hello')).json()).toEqual({ route: '/shop/hello' })
      expect((await stage.http('DELETE', '/shop/all')).json()).toEqual({ all: true })
      expect((await stage.http('GET', '/mounted/inside')).json()).toEqual({ inside: '/inside' })
      expect((await stage.http('HEAD', '/shop/hello')).status).toBe(200)
    })

    test('have no limits but their own, and ours have ours', async () => {
      const large = 'x'.repeat(5 * 1024 * 1024)
      expect((await stage.http('POST', '/shop/size', large)).json()).toEqual({ size: large.length })
      expect((await stage.http('POST', '/threads', large, ALICE)).status).toBe(413)
    })

    test('refuse as they say, and their faults are told to nobody but the log', async () => {
      const refused = await stage.http('GET', '/shop/refuses')
      expect([refused.status, refused.text]).toEqual([402, 'Pay first.'])
      const failed = await stage.http('GET', '/shop/fails')
      expect([failed.status, failed.text]).toEqual([500, 'Internal error. The server log has the cause.'])
      expect(stage.logLines.join('\n')).toContain('a secret')
    })

    test('are reached by links of other pages, which reach nothing of ours', async () => {
      const followed = await stage.http('GET', '/shop/callback', undefined, NAVIGATION)
      expect([followed.status, followed.headers.get('location')]).toEqual([302, '/console'])
      expect((await stage.http('GET', '/ok', undefined, NAVIGATION)).status).toBe(403)
      expect((await stage.http('GET', `/threads/${newId()}/stream`, undefined, NAVIGATION)).status).toBe(403)
      expect((await stage.http('POST', '/shop/all', {}, NAVIGATION)).status).toBe(403)
      const framed = { ...NAVIGATION, 'sec-fetch-dest': 'iframe' }
      expect((await stage.http('GET', '/shop/callback', undefined, framed)).status).toBe(403)
    })

    test('stand before ours: their middleware sees them, and what it makes of a body is what is read', async () => {
      const client = new Client({ apiUrl: stage.url, apiKey: null, defaultHeaders: ALICE })
      const { thread_id: threadId } = await client.threads.create()
      const values = await client.runs.wait(threadId, 'echo', { input: {} })
      expect(values).toMatchObject({ seen: { tone: 'calm' } })
      const ours = await stage.http('GET', `/threads/${threadId}`, undefined, ALICE)
      expect(ours.headers.get('x-served-by')).toBe('shop')
      expect((await stage.http('GET', `/threads/${threadId}`)).text).toBe('Who are you?')
      expect((await stage.http('GET', '/no/such/route')).text).toBe(
        'There is no GET /no/such/route. See /docs.',
      )
      const events = []
      for await (const { event } of client.runs.stream(threadId, 'echo', { input: {} })) events.push(event)
      expect(events).toEqual(['metadata', 'values'])
    })

    test('let a WebSocket of ours through', async () => {
      const path = `/threads/${newId()}/stream/events`
      const [WebSocketClient] = [(await import('ws')).WebSocket]
      const socket = new WebSocketClient(stage.url.replace('http', 'ws') + path, { headers: ALICE })
      const answer = new Promise<string>((done, fail) => {
        socket.on('open', () => socket.send('{"id":1,"method":"state.get","params":{}}'))
        socket.on('message', (data: Buffer) => done(data.toString()))
        socket.on('error', fail)
      })
      expect(JSON.parse(await answer)).toMatchObject({ type: 'error', error: 'no_such_run' })
      socket.terminate()
    })
  })

  describe('with enable_custom_route_auth', () => {
    const stage = useStage(database, useProject({ enable_custom_route_auth: true }))

    test('nothing of the project is for strangers, whatever the method it is registered with', async () => {
      for (const [method, path] of [
        ['GET', '/shop/hello'],
        ['GET', '/shop/all'],
        ['POST', '/shop/all'],
        ['GET', '/threads/mine'],
        ['GET', '/mounted/inside'],
        ['HEAD', '/mounted/inside'],
        ['GET', '/no/such/route'],
      ] as const) {
        expect([(await stage.http(method, path)).status, method, path]).toEqual([401, method, path])
        const known = await stage.http(method, path, undefined, ALICE)
        expect([known.status, path]).toEqual([path === '/no/such/route' ? 404 : 200, path])
      }
      for (const path of ['/ok', '/info', '/docs', '/openapi.json'])
        expect([(await stage.http('GET', path)).status, path]).toEqual([200, path])
    })
  })
})

onEmbedded((database) => {
  describe('with disable_runs', () => {
    const stage = useStage(database, useProject({ disable_runs: true }))

    test('no command starts one, and what there is can be read', async () => {
      const { thread_id: threadId } = (await stage.http('POST', '/threads', {}, ALICE)).json<{
        thread_id: string
      }>()
      const command = async (method: string, params: object) => {
        const sent = { id: 1, method, params }
        return (await stage.http('POST', `/threads/${threadId}/commands`, sent, ALICE)).json()
      }
      const start = { assistant_id: 'echo', input: {} }
      const respond = { interrupt_id: 'x', response: 1 }
      const refused = { type: 'error', error: 'not_supported' }
      expect(await command('run.start', start)).toMatchObject(refused)
      expect(await command('input.respond', respond)).toMatchObject(refused)
      expect(await command('state.get', {})).toMatchObject({ type: 'success' })
      expect((await stage.http('POST', `/threads/${threadId}/runs`, start, ALICE)).status).toBe(404)
    })
  })

  describe('with disable_threads', () => {
    const stage = useStage(database, useProject({ disable_threads: true }))

    test('neither commands nor their WebSocket are there', async () => {
      const at = `/threads/${newId()}`
      const sent = { id: 1, method: 'state.get', params: {} }
      expect((await stage.http('POST', `${at}/commands`, sent, ALICE)).status).toBe(404)
      expect((await stage.http('GET', `${at}/stream/events`, undefined, ALICE)).status).toBe(404)
      expect((await stage.http('POST', `${at}/stream/events`, { channels: ['values'] }, ALICE)).status).toBe(
        404,
      )
    })
  })
})
