import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test as base, expect } from 'vitest'
import { byHand } from '../../../runtime/by-hand.ts'
import { Services } from '../../../runtime/services.ts'
import { httpFetch } from '../../../tools/http-fetch.ts'
import { HTTP_ACCESS, type HttpAccess } from '../../../tools/http-guard.ts'
import { POLICY } from '../../../tools/policy/current.ts'
import { type PolicyFile, readPolicy } from '../../../tools/policy/schema.ts'
import { checkArgs } from '../../../tools/check-edit.ts'
import { callWith, ranBy, THREAD } from './call-context.ts'

/** A loopback server of the test's own. Every attack aims at it, and `requests` tells whether one arrived. */
interface Server {
  port: number
  requests: IncomingMessage[]
  answer: (request: IncomingMessage, response: ServerResponse) => void
}

const test = base.extend<{ server: Server; other: Server }>({
  server: async ({}, use) => serve(use),
  other: async ({}, use) => serve(use),
})

async function serve(use: (server: Server) => Promise<void>) {
  const server: Server = { port: 0, requests: [], answer: (_request, response) => response.end('hello') }
  const http = createServer((request, response) => {
    server.requests.push(request)
    server.answer(request, response)
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  server.port = (http.address() as AddressInfo).port
  await use(server)
  http.closeAllConnections()
  await new Promise((resolve) => http.close(resolve))
}

type Args = Parameters<typeof httpFetch.run>[0]
const fetchWith = (access: HttpAccess, args: Partial<Args> & { url: string }) =>
  ranBy(httpFetch, { method: 'GET', ...args }, callWith(HTTP_ACCESS, access))
const refused = expect.objectContaining({ name: 'ToolError', code: 'DENIED' })
const loopback = async () => ['127.0.0.1']

test('an allowed origin is fetched, with a small set of headers', async ({ server }) => {
  server.answer = (_request, response) => {
    response.writeHead(201, {
      'content-type': 'text/plain',
      etag: '"1"',
      'set-cookie': 'secret=1',
      'x-other': '1',
    })
    response.end('hëllo')
  }
  const access = { hosts: [], allowPrivate: [`127.0.0.1:${server.port}`] }
  const result = await fetchWith(access, { url: `http://127.0.0.1:${server.port}/a?b=1` })
  expect(result).toMatchObject({
    status: 201,
    headers: { etag: '"1"' },
    content_type: 'text/plain',
    encoding: 'utf8',
    body: 'hëllo',
    truncated: false,
  })
  expect(JSON.stringify(result)).not.toMatch(/secret|x-other/)
  expect(server.requests[0]?.url).toBe('/a?b=1')
})

test('without a host on the list nothing is fetched', async ({ server }) => {
  await expect(fetchWith({ hosts: [] }, { url: `http://127.0.0.1:${server.port}/` })).rejects.toEqual(refused)
  expect(server.requests).toHaveLength(0)
})

test('a name reaches a private address only where the operator named that origin', async ({
  server,
  other,
}) => {
  const access = { hosts: ['api.test'], allowPrivate: [`api.test:${server.port}`], resolve: loopback }
  expect(await fetchWith(access, { url: `http://API.test:${server.port}/` })).toMatchObject({ status: 200 })
  await expect(fetchWith(access, { url: `http://api.test:${other.port}/` })).rejects.toEqual(refused)
  expect(other.requests).toHaveLength(0)
})

test('a listed name that resolves to a private address is not connected to', async ({ server }) => {
  for (const answers of [
    ['127.0.0.1'],
    ['127.0.0.1', '8.8.8.8'],
    ['::1'],
    ['::ffff:127.0.0.1'],
    ['10.0.0.1'],
    [],
  ]) {
    const access = { hosts: [`api.test:${server.port}`], resolve: async () => answers }
    await expect(fetchWith(access, { url: `http://api.test:${server.port}/` })).rejects.toMatchObject({
      code: answers.length === 0 ? 'INTERNAL' : 'DENIED',
    })
  }
  expect(server.requests).toHaveLength(0)
})

test('a name is resolved once per connection, so a second answer cannot differ', async ({ server }) => {
  let asked = 0
  const resolve = async () => (asked++ === 0 ? ['127.0.0.1'] : ['127.0.0.2'])
  const access = { hosts: [], allowPrivate: [`api.test:${server.port}`], resolve }
  await fetchWith(access, { url: `http://api.test:${server.port}/` })
  expect(asked).toBe(1)
})

test.for([
  'http://127.0.0.1:PORT/',
  'http://2130706433:PORT/',
  'http://0177.0.0.1:PORT/',
  'http://0x7f.1:PORT/',
  'http://127.1:PORT/',
  'http://0.0.0.0:PORT/',
  'http://[::]:PORT/',
  'http://[::1]:PORT/',
  'http://[::127.0.0.1]:PORT/',
  'http://[::ffff:127.0.0.1]:PORT/',
  'http://[::ffff:7f00:1]:PORT/',
  'http://localhost:PORT/',
  'http://localhost.:PORT/',
  'http://api.test.:PORT/',
  'http://x.api.test:PORT/',
  'http://api.test:PORT@127.0.0.1:PORT/',
  'http://127.0.0.1:PORT\\@api.test/',
  'http://api.test\\@127.0.0.1:PORT/',
  'http://user:secret@api.test:PORT/',
  'http://127。0。0。1:PORT/',
  'http://127.0.0.1:PORT/',
  'http://api.test:PORT/a\r\nx: y',
  'http://api.test:PORT/ HTTP/1.1',
  ' http://api.test:PORT/',
  'file:///etc/passwd',
  'data:text/plain,hello',
  'gopher://api.test:PORT/',
  'ftp://api.test/',
  '//api.test:PORT/',
])('%s is refused before anything is sent', async (url, { server, expect }) => {
  // The addresses are on the list, as a careless operator might put them: they still have to be public.
  const port = server.port
  const hosts = ['127.0.0.1', 'localhost', '0.0.0.0', '[::1]', '[::]', '[::127.0.0.1]', '[::ffff:127.0.0.1]']
  const access = { hosts: hosts.map((host) => `${host}:${port}`), resolve: loopback }
  const attempt = fetchWith(access, { url: url.replaceAll('PORT', String(port)) })
  await expect(attempt).rejects.toMatchObject({
    name: 'ToolError',
    code: expect.stringMatching(/DENIED|INVALID_ARGS/),
  })
  expect(server.requests).toHaveLength(0)
})

test('a redirect to a host that is not on the list is refused, and not followed', async ({
  server,
  other,
}) => {
  server.answer = (_request, response) => {
    response.writeHead(302, { location: `http://127.0.0.1:${other.port}/` }).end()
  }
  const access = { hosts: [], allowPrivate: [`127.0.0.1:${server.port}`] }
  await expect(fetchWith(access, { url: `http://127.0.0.1:${server.port}/` })).rejects.toEqual(refused)
  expect(other.requests).toHaveLength(0)
})

/** The call as a run makes it, under these rules. */
const fetchUnder = (rules: PolicyFile['rules'], access: HttpAccess, url: string) => {
  const policy = { current: () => readPolicy({ rules }) }
  const hand = byHand({ services: new Services().with(POLICY, policy), checkArgs })
  return hand.run(THREAD, () => fetchWith(access, { url }))
}
const ofPort = (port: number) => ({ args: { url: { matches: `http://127.0.0.1:${port}/*` } } })

test.each(['deny', 'hold'] as const)(
  'a redirect to where a rule says %s is refused in its name, and not followed',
  async (then) => {
    await serve(async (server) => {
      await serve(async (other) => {
        server.answer = (_request, response) => {
          response.writeHead(302, { location: `http://127.0.0.1:${other.port}/` }).end()
        }
        const access = { hosts: [], allowPrivate: [`127.0.0.1:${server.port}`, `127.0.0.1:${other.port}`] }
        const url = `http://127.0.0.1:${server.port}/`
        await expect(
          fetchUnder([{ name: 'not there', when: ofPort(other.port), then }], access, url),
        ).rejects.toThrow(
          new RegExp(`redirect to 127.0.0.1:${other.port} is not followed. Rule "not there" (denies|holds)`),
        )
        // Released was the first host alone, also where one rule holds both.
        if (then === 'hold')
          await expect(
            fetchUnder([{ name: 'all', when: { tool: 'http_fetch' }, then }], access, url),
          ).rejects.toThrow(/Rule "all" holds/)
        expect(other.requests).toHaveLength(0)
        expect(await fetchUnder([{ name: 'r', when: ofPort(1), then }], access, url)).toMatchObject({
          body: 'hello',
        })
      })
    })
  },
)

test('a redirect on the host that people have released is followed', async ({ server }) => {
  server.answer = ({ url }, response) =>
    url === '/' ? response.writeHead(302, { location: '/next' }).end() : response.end('next')
  const access = { hosts: [], allowPrivate: [`127.0.0.1:${server.port}`] }
  const rule = { name: 'all', when: { tool: 'http_fetch' }, then: 'hold' as const }
  expect(await fetchUnder([rule], access, `http://127.0.0.1:${server.port}/`)).toMatchObject({ body: 'next' })
})

test('headers are not carried to another host', async ({ server, other }) => {
  server.answer = (_request, response) => {
    response.writeHead(302, { location: `http://127.0.0.1:${other.port}/next` }).end()
  }
  const access = { hosts: [], allowPrivate: [`127.0.0.1:${server.port}`, `127.0.0.1:${other.port}`] }
  const url = `http://127.0.0.1:${server.port}/`
  expect(await fetchWith(access, { url, headers: { authorization: 'Bearer 1' } })).toMatchObject({
    body: 'hello',
  })
  expect(server.requests[0]?.headers.authorization).toBe('Bearer 1')
  expect(other.requests[0]?.headers.authorization).toBeUndefined()
})

test('a fourth redirect is refused', async ({ server }) => {
  server.answer = (_request, response) => void response.writeHead(302, { location: '/again' }).end()
  const access = { hosts: [], allowPrivate: [`127.0.0.1:${server.port}`] }
  await expect(fetchWith(access, { url: `http://127.0.0.1:${server.port}/` })).rejects.toEqual(refused)
  expect(server.requests).toHaveLength(4)
})

test('a body that was approved for one host is not sent on to another', async ({ server, other }) => {
  server.answer = (_request, response) => {
    response.writeHead(307, { location: `http://127.0.0.1:${other.port}/` }).end()
  }
  const access = { hosts: [], allowPrivate: [`127.0.0.1:${server.port}`, `127.0.0.1:${other.port}`] }
  const url = `http://127.0.0.1:${server.port}/`
  await expect(fetchWith(access, { url, method: 'POST', body: 'x' })).rejects.toEqual(refused)
  expect(other.requests).toHaveLength(0)
})

test('a write carries the idempotency key and is of medium risk, a read is not', async ({ server }) => {
  const access = { hosts: [], allowPrivate: [`127.0.0.1:${server.port}`] }
  const url = `http://127.0.0.1:${server.port}/`
  await fetchWith(access, { url, method: 'POST', body: '{}' })
  await fetchWith(access, { url })
  expect(server.requests.map(({ headers }) => headers['idempotency-key'])).toEqual([
    '0d9b1f0e-6c1e-5b6e-8f59-6f1d0a2b3c4d',
    undefined,
  ])
  const risk = httpFetch.risk
  if (typeof risk === 'string') throw new Error('the risk depends on the method')
  expect([risk({ url, method: 'GET' }), risk({ url, method: 'DELETE' })]).toEqual(['low', 'medium'])
})

test('a body is cut at 64 KB, and an endless one does not hold the call', async ({ server }) => {
  server.answer = (_request, response) => {
    const timer = setInterval(() => response.write('x'.repeat(16_384)), 1)
    response.on('close', () => clearInterval(timer))
  }
  const access = { hosts: [], allowPrivate: [`127.0.0.1:${server.port}`] }
  const result = await fetchWith(access, { url: `http://127.0.0.1:${server.port}/` })
  expect(result).toMatchObject({ truncated: true, body: 'x'.repeat(65_536) })
})

test('a binary body comes in base64', async ({ server }) => {
  server.answer = (_request, response) => void response.end(Buffer.from([0xff, 0x00]))
  const access = { hosts: [], allowPrivate: [`127.0.0.1:${server.port}`] }
  const result = await fetchWith(access, { url: `http://127.0.0.1:${server.port}/` })
  expect(result).toMatchObject({ encoding: 'base64', body: '/wA=', content_type: null })
})

test('headers that steer the connection and values with line breaks are refused', async ({ server }) => {
  const access = { hosts: [], allowPrivate: [`127.0.0.1:${server.port}`] }
  const url = `http://127.0.0.1:${server.port}/`
  for (const name of ['Host', 'content-length', 'Transfer-Encoding', 'Proxy-Authorization', 'cookie']) {
    await expect(fetchWith(access, { url, headers: { [name]: '1' } })).rejects.toMatchObject({
      code: 'INVALID_ARGS',
    })
  }
  expect(httpFetch.schema.safeParse({ url, headers: { a: 'b\r\nc: d' } }).success).toBe(false)
  expect(httpFetch.schema.safeParse({ url, headers: { 'a\n': 'b' } }).success).toBe(false)
  expect(httpFetch.schema.safeParse({ url, method: 'CONNECT' }).success).toBe(false)
  expect(server.requests).toHaveLength(0)
})

test('a server that is not there is an error without its address', async ({ server }) => {
  server.answer = (request) => request.socket.destroy()
  const access = { hosts: [], allowPrivate: [`api.test:${server.port}`], resolve: loopback }
  const attempt = fetchWith(access, { url: `http://api.test:${server.port}/` })
  await expect(attempt).rejects.toMatchObject({
    code: 'INTERNAL',
    message: expect.not.stringContaining('127.0.0.1'),
  })
})

test('an operator is told of an entry that names no host', async () => {
  for (const hosts of [
    ['*.test'],
    ['http://api.test'],
    ['api.test/path'],
    ['api.test.'],
    ['user@api.test'],
  ]) {
    await expect(fetchWith({ hosts }, { url: 'http://a.test/' })).rejects.toThrow(/is not a host/)
  }
  await expect(
    fetchWith({ hosts: [], allowPrivate: ['127.0.0.1'] }, { url: 'http://a.test/' }),
  ).rejects.toThrow(/needs a port/)
})
