import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { LOCAL } from '../../runtime/people.ts'
import { WrongKey } from '../../server/keys.ts'
import { createRateLimits, RateLimited } from '../../server/rate-limits.ts'

const SILENT = { info() {}, warn() {}, error() {} }
const ADA = { ...LOCAL, identity: 'ada', alone: false }

function limitsAt(limits: Partial<Parameters<typeof createRateLimits>[0]>) {
  const clock = { ms: 0 }
  const made = createRateLimits(
    { wrongKeys: 2, decisions: 6, proxies: 0, ...limits },
    { log: SILENT, now: () => clock.ms },
  )
  const app = new Hono()
  app.use(made.guard)
  app.onError((error, c) => c.text(error.message, error instanceof RateLimited ? 429 : 401))
  app.get('/', (c) => {
    if (c.req.header('x-api-key') !== 'hp_right') throw new WrongKey('It is wrong')
    made.letIn(c.req.raw)
    return c.text('in')
  })
  const tries = async (key: string, forwarded = '') =>
    (await app.request('/', { headers: { 'x-api-key': `hp_${key}`, 'x-forwarded-for': forwarded } })).status
  return { clock, tries, word: made.word }
}

test('a minute after the first wrong key its address may try again', async () => {
  const { clock, tries } = limitsAt({})
  expect([await tries('a'), await tries('b'), await tries('c')]).toEqual([401, 401, 429])
  clock.ms = 59_999
  expect(await tries('c')).toBe(429)
  clock.ms = 60_000
  expect(await tries('c')).toBe(401)
})

test('a key that was right is forgotten after an hour, and at once where it is right no longer', async () => {
  const { clock, tries } = limitsAt({})
  expect(await tries('right')).toBe(200)
  clock.ms = 3_599_000
  expect([await tries('a'), await tries('b'), await tries('right')]).toEqual([401, 401, 200])
  clock.ms += 3_600_000
  expect([await tries('a'), await tries('b'), await tries('right')]).toEqual([401, 401, 429])
})

test('what a caller says of their own address counts only where a proxy adds to it', async () => {
  const direct = limitsAt({})
  expect([await direct.tries('a', '192.0.2.1'), await direct.tries('b', '192.0.2.2')]).toEqual([401, 401])
  expect(await direct.tries('c', '192.0.2.3')).toBe(429)
  const behind = limitsAt({ proxies: 2 })
  const path = (claimed: string, real: string) => `${claimed}, ${real}, 10.0.0.1`
  expect(await behind.tries('a', path('192.0.2.1', '192.0.2.9'))).toBe(401)
  expect(await behind.tries('b', path('192.0.2.2', '192.0.2.9'))).toBe(401)
  expect(await behind.tries('c', path('192.0.2.3', '192.0.2.9'))).toBe(429)
  expect(await behind.tries('c', path('192.0.2.9', '192.0.2.3'))).toBe(401)
})

test('0 is no limit', async () => {
  const { tries, word } = limitsAt({ wrongKeys: 0, decisions: 0 })
  for (let n = 0; n < 100; n += 1) expect(await tries(`wrong ${n}`)).toBe(401)
  for (let n = 0; n < 100; n += 1) word(ADA)
})

test('words come back evenly, and the one principal of a server without keys has no pace', () => {
  const { clock, word } = limitsAt({})
  for (let n = 0; n < 6; n += 1) word(ADA)
  expect(() => word(ADA)).toThrow('Try again in 10 seconds.')
  word({ ...ADA, tenant: 'another' })
  clock.ms = 10_000
  word(ADA)
  expect(() => word(ADA)).toThrow(RateLimited)
  for (let n = 0; n < 20; n += 1) word(LOCAL)
})
