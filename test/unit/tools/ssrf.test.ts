import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { httpFetch } from '../../../tools/http-fetch.ts'
import { HTTP_ACCESS, type HttpAccess } from '../../../tools/http-guard.ts'
import { callWith, ranBy } from './call-context.ts'

/** An internal service, which none of these may reach; `/to` redirects from a host that is allowed. */
let internal: Server
let port = 0
let location = ''
const arrived: IncomingMessage[] = []

beforeAll(async () => {
  internal = createServer((request, response) => {
    arrived.push(request)
    if (request.url === '/to')
      response.writeHead(302, { location: Buffer.from(location).toString('latin1') }).end()
    else response.end('internal')
  })
  await new Promise<void>((done) => internal.listen(0, '127.0.0.1', done))
  ;({ port } = internal.address() as AddressInfo)
})
afterAll(() => {
  internal.closeAllConnections()
  internal.close()
})
beforeEach(() => {
  arrived.length = 0
})

const fetchWith = (access: HttpAccess, url: string) =>
  ranBy(httpFetch, { method: 'GET', url }, callWith(HTTP_ACCESS, access))

/** The internal service and others like it, in every spelling of an address. */
const SPELLINGS = [
  '127.0.0.1',
  '2130706433',
  '017700000001',
  '0x7f000001',
  '0x7f.0.0.1',
  '0177.0.0.01',
  '127.1',
  '127.0.1',
  '0',
  '0.0.0.0',
  '0x0',
  '１２７.0.0.1',
  '127。0。0。1',
  '①②⑦.0.0.1',
  'localhost',
  'LOCALHOST',
  'localhost.',
  '127.0.0.1.',
  '[::]',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::127.0.0.1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::ffff:0:127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b:1::7f00:1]',
  '[2002:7f00:1::]',
  '[2001:0:7f00:1::]',
  '[fe80::5efe:127.0.0.1]',
  '[fe80::1]',
  '[fd00::1]',
  '[fec0::1]',
  '[ff02::1]',
  '169.254.169.254',
  '2852039166',
  '0xa9fea9fe',
  '[::ffff:169.254.169.254]',
  '[fd00:ec2::254]',
  '100.100.100.200',
  '100.64.0.1',
  '192.0.0.192',
  '10.0.0.1',
  '172.16.0.1',
  '192.168.0.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
]

/** As the URL class writes it, and so as an operator might have put it on the list. */
function hostOf(spelling: string): string {
  return URL.parse(`http://${spelling}/`)?.hostname ?? spelling
}

test.for(SPELLINGS)('%s is not reached, on the list or not', async (spelling, { expect }) => {
  const host = hostOf(spelling)
  const listed = host.endsWith('.') ? [] : [`${host}:${port}`]
  for (const hosts of [['api.test'], listed]) {
    const access = { hosts, resolve: async () => ['127.0.0.1'] }
    await expect(fetchWith(access, `http://${spelling}:${port}/`)).rejects.toMatchObject({
      name: 'ToolError',
    })
  }
  expect(arrived).toHaveLength(0)
})

test.for(SPELLINGS)('%s is not reached by a redirect of an allowed host', async (spelling, { expect }) => {
  // Another port than that of the allowed origin: what is allowed is that one alone.
  location = `http://${spelling}:${port === 65_535 ? port - 1 : port + 1}/`
  const access = { hosts: [], allowPrivate: [`api.test:${port}`], resolve: async () => ['127.0.0.1'] }
  await expect(fetchWith(access, `http://api.test:${port}/to`)).rejects.toMatchObject({ code: 'DENIED' })
  expect(arrived.map(({ url }) => url)).toEqual(['/to'])
})

test.for(
  SPELLINGS.map((spelling) => hostOf(spelling).replaceAll(/[[\]]/g, '')).filter(
    (host) => !/[a-z]{4}|\.$/i.test(host),
  ),
)(
  'a name that resolves to %s, alone or beside a public address, is not connected to',
  async (address, { expect }) => {
    for (const answers of [[address], ['8.8.8.8', address], [address, '8.8.8.8'], [`${address}%lo`]]) {
      const access = { hosts: [`api.test:${port}`], resolve: async () => answers }
      await expect(fetchWith(access, `http://api.test:${port}/`)).rejects.toMatchObject({ code: 'DENIED' })
    }
    expect(arrived).toHaveLength(0)
  },
)

test('a name that is public when it is checked, and private when it is asked for again, is not reached', async () => {
  let asked = 0
  // The second hop is another connection: its own answer is checked again, and it is private by then.
  const access: HttpAccess = {
    hosts: [`rebinds.test:${port}`],
    allowPrivate: [`api.test:${port}`],
    resolve: async (name) => {
      if (name === 'rebinds.test') asked++
      return ['127.0.0.1']
    },
  }
  location = `http://rebinds.test:${port}/`
  await expect(fetchWith(access, `http://api.test:${port}/to`)).rejects.toMatchObject({ code: 'DENIED' })
  expect(asked).toBe(1)
  expect(arrived.map(({ url }) => url)).toEqual(['/to'])
})

test.for([
  'file:///etc/passwd',
  'data:,x',
  'gopher://api.test/',
  'ftp://api.test/',
  'javascript:1',
  '//',
  'http://',
])('a redirect to %s is refused', async (to, { expect }) => {
  location = to
  const access = { hosts: [], allowPrivate: [`api.test:${port}`], resolve: async () => ['127.0.0.1'] }
  await expect(fetchWith(access, `http://api.test:${port}/to`)).rejects.toMatchObject({ code: 'DENIED' })
  expect(arrived.map(({ url }) => url)).toEqual(['/to'])
})

test.for(['user@api.test', 'user:pass@api.test', 'api.test%00.evil.test', 'api.test#@127.0.0.1'])(
  'a redirect to http://%s is refused, or goes to the allowed host alone',
  async (authority, { expect }) => {
    location = `http://${authority}:${port}/`
    const access = { hosts: [], allowPrivate: [`api.test:${port}`], resolve: async () => ['127.0.0.1'] }
    await expect(fetchWith(access, `http://api.test:${port}/to`)).rejects.toMatchObject({ code: 'DENIED' })
    expect(arrived.map(({ url }) => url)).toEqual(['/to'])
  },
)
