import { afterEach, expect, test, vi } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import {
  newWebhookSecret,
  sealSecret,
  type WebhookKeys,
  webhookKeys,
} from '../../../runtime/webhook-secret.ts'
import { startWebhooks } from '../../../runtime/webhooks.ts'
import { createLog } from '../../../server/log.ts'
import { webhookSender } from '../../../server/webhook-sender.ts'
import { guardedAgent } from '../../../tools/http-guard.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import {
  type Answer,
  hangUp,
  type Receiver,
  startReceiver,
  status,
  verified,
} from '../../support/receiver.ts'
import { WAIT } from '../../support/stage.ts'
import { secretAt, type StoragePorts, useStorage } from '../../support/storage.ts'

const closers: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

onEachDatabase((database) => {
  const storage = useStorage(database)

  test('a receiver that answers 500, redirects or hangs up is asked again, with one id', async () => {
    const { receiver, create } = await stage()
    const { id, secret } = await create('/again')
    const elsewhere = { location: `${receiver.url}/elsewhere` }
    receiver.answer('/again', status(500), status(307, elsewhere), hangUp)
    const webhookId = await storage.mine.webhookEndpoints.test(id)
    await vi.waitFor(() => expect(receiver.at('/again')).toHaveLength(4), WAIT)
    expect(new Set(receiver.received.map((one) => one.id))).toEqual(new Set([webhookId]))
    expect(new Set(receiver.received.map((one) => one.path))).toEqual(new Set(['/again']))
    for (const sent of receiver.received)
      expect(verified(secret, sent)).toMatchObject({ type: 'webhook.test', data: { endpoint_id: id } })
    await untilTold(id)
  })

  test('an answer that comes too late does not count: it is told again, with the same id', async () => {
    const { receiver, create } = await stage({ tryMs: 300 })
    const { id } = await create('/late')
    receiver.answer('/late', (response) => {
      response.on('close', () => response.writeHead(204).end())
    })
    await storage.mine.webhookEndpoints.test(id)
    await vi.waitFor(() => expect(receiver.at('/late')).toHaveLength(2), WAIT)
    expect(new Set(receiver.received.map((one) => one.id)).size).toBe(1)
    await untilTold(id)
  })

  test('a body that never ends keeps nobody: the status has said it', async () => {
    const { receiver, create } = await stage({ tryMs: 300 })
    const { id } = await create('/endless')
    receiver.answer('/endless', (response) => {
      response.writeHead(200, { 'content-type': 'text/plain' }).write('and ')
    })
    await storage.mine.webhookEndpoints.test(id)
    await untilTold(id)
    expect(receiver.received).toHaveLength(1)
  })

  test('an endpoint that never answers holds four lanes, and no other endpoint waits for it', async () => {
    const { receiver, create } = await stage()
    const [stuck, well] = [await create('/stuck'), await create('/well')]
    let open = 0
    const never = Array.from({ length: 40 }, (): Answer => (response) => {
      open += 1
      response.on('close', () => (open -= 1))
    })
    receiver.answer('/stuck', ...never)
    for (const _ of never) await storage.mine.webhookEndpoints.test(stuck.id)
    await vi.waitFor(() => expect(open).toBe(4), WAIT)
    for (let told = 1; told <= 10; told += 1) {
      await storage.mine.webhookEndpoints.test(well.id)
      await vi.waitFor(() => expect(receiver.at('/well')).toHaveLength(told), WAIT)
    }
    // The four of before are still the ones that it holds.
    expect({ open, asked: receiver.at('/stuck').length }).toEqual({ open: 4, asked: 4 })
  })

  test('no endpoint waits for what runs have named, however many never answer', async () => {
    const receiver = await startReceiver(0, '0.0.0.0')
    const [, port = ''] = receiver.host.split(':')
    const hosts = Array.from({ length: 40 }, (_, n) => `127.0.0.${n + 2}:${port}`)
    const { create } = await stage({ receiver, allowed: [receiver.host, ...hosts] })
    const { id } = await create('/well')
    let open = 0
    const never: Answer = (response) => {
      open += 1
      response.on('close', () => (open -= 1))
    }
    receiver.answer('/stuck', ...hosts.map(() => never))
    const urls = hosts.map((host) => `http://${host}/stuck`)
    await storage.mine.db.query(
      `insert into webhooks (url, payload) select url, '{}' from unnest($1::text[]) as url`,
      [urls],
    )
    await storage.mine.webhookEndpoints.test(id)
    await vi.waitFor(() => expect(open).toBe(32), WAIT)
    for (let told = 2; told <= 5; told += 1) {
      await storage.mine.webhookEndpoints.test(id)
      await vi.waitFor(() => expect(receiver.at('/well')).toHaveLength(told), WAIT)
    }
    expect({ open, asked: receiver.at('/stuck').length }).toEqual({ open: 32, asked: 32 })
  })

  test('after a rotation both secrets sign until the overlap is over, then the new one alone', async () => {
    const { receiver, create, keys } = await stage()
    const { id, secret: old } = await create('/rotated')
    const next = newWebhookSecret()
    await storage.mine.webhookEndpoints.rotate(id, sealSecret(keys, id, next), 3_600)
    await storage.mine.webhookEndpoints.test(id)
    await vi.waitFor(() => expect(receiver.received).toHaveLength(1), WAIT)
    await storage.mine.db.query('update webhook_endpoints set previous_until = clock_timestamp()')
    await storage.mine.webhookEndpoints.test(id)
    await vi.waitFor(() => expect(receiver.received).toHaveLength(2), WAIT)

    const [during, after] = receiver.received
    if (during === undefined || after === undefined) throw new Error('Both were received.')
    expect(during.headers['webhook-signature']?.split(' ')).toHaveLength(2)
    for (const secret of [old, next]) expect(verified(secret, during)).toMatchObject({ type: 'webhook.test' })
    expect(verified(next, after)).toMatchObject({ type: 'webhook.test' })
    expect(() => verified(old, after)).toThrow('No matching signature')
    expect(() => verified(next, { ...after, body: after.body.replace('test', 'tost') })).toThrow(
      'No matching signature',
    )
  })

  test('410 disables the endpoint, and gives up all that waits for it', async () => {
    const { receiver, create, logLines } = await stage()
    const { id } = await create('/gone')
    receiver.answer('/gone', status(500), status(410))
    await storage.mine.webhookEndpoints.test(id)
    await vi.waitFor(async () => {
      expect(await endpoint(id)).toMatchObject({ pending: 0, dead: 1 })
    }, WAIT)
    expect((await endpoint(id))?.disabled_because).toBe('The receiver answered 410.')
    await vi.waitFor(() => expect(logLines.join('\n')).toContain('An endpoint is gone'), WAIT)
    expect(await storage.mine.webhookEndpoints.test(id)).toBeUndefined()
    const [dead] = await storage.mine.webhooks.dead(id)
    expect(await storage.mine.webhooks.redeliver(dead?.id ?? '')).toBe(false)

    await storage.mine.webhookEndpoints.enable(id)
    expect(await storage.mine.webhooks.redeliver(dead?.id ?? '')).toBe(true)
    await untilTold(id)
    expect(receiver.received.at(-1)?.id).toBe(dead?.id)
  })

  test('a day after the first try it is given up and kept, and by hand it is told with the same id', async () => {
    const { receiver, create, logLines } = await stage()
    const { id } = await create('/day')
    receiver.answer('/day', status(503), status(503))
    const webhookId = (await storage.mine.webhookEndpoints.test(id)) ?? ''
    await vi.waitFor(() => expect(receiver.received).toHaveLength(1), WAIT)
    await storage.mine.db.query(`update webhooks set begun_at = begun_at - interval '25 hours'`)
    await vi.waitFor(async () => expect(await storage.mine.webhooks.dead()).toHaveLength(1), WAIT)
    const [dead] = await storage.mine.webhooks.dead(id)
    expect(dead).toMatchObject({ id: webhookId, endpoint_id: id, type: 'webhook.test' })
    expect(dead?.error).toBe('The receiver answered 503.')
    expect(await storage.mine.webhooks.dead(newId())).toEqual([])
    await vi.waitFor(() => expect(logLines.join('\n')).toContain('A webhook was given up'), WAIT)

    receiver.answers.clear()
    expect(await storage.mine.webhooks.redeliver(webhookId)).toBe(true)
    await untilTold(id)
    expect(new Set(receiver.received.map((one) => one.id))).toEqual(new Set([webhookId]))
  })

  test('of two processes that deliver, one delivers each', async () => {
    const { receiver, create, deliver } = await stage()
    deliver(storage.other)
    const { id } = await create('/shared')
    const ids = await Promise.all(Array.from({ length: 60 }, () => storage.mine.webhookEndpoints.test(id)))
    await untilTold(id)
    expect(receiver.received).toHaveLength(ids.length)
    expect(new Set(receiver.received.map((one) => one.id))).toEqual(new Set(ids))
  })

  test('what was on its way when its process stopped is due at once', async () => {
    const { receiver, create, delivering } = await stage()
    const { id } = await create('/stopped')
    receiver.answer('/stopped', () => {})
    await storage.mine.webhookEndpoints.test(id)
    await vi.waitFor(() => expect(receiver.received).toHaveLength(1), WAIT)
    await delivering.close()
    const lanes = { free: { endpoints: 1, runs: 0 }, each: 1, busy: new Map<string, number>() }
    expect(await storage.mine.webhooks.nextIn(lanes)).toBeLessThanOrEqual(0)
  })

  test('an endpoint at an address that is not public is never reached', async () => {
    const { receiver, create } = await stage({ allowed: [] })
    const { id } = await create('/private')
    await storage.mine.webhookEndpoints.test(id)
    await vi.waitFor(async () => {
      expect((await endpoint(id))?.last_error).toBe('127.0.0.1 has an address that is not public.')
    }, WAIT)
    expect(receiver.received).toEqual([])
  })

  test('what waits for an endpoint that was deleted in the same moment is given up', async () => {
    await storage.mine.db.query(
      `insert into webhooks (endpoint_id, type, payload) values ($1, 'run.completed', '{"data":{}}')`,
      [newId()],
    )
    const { receiver } = await stage()
    await vi.waitFor(async () => {
      expect(await storage.mine.webhooks.dead()).toMatchObject([
        { url: '', error: 'The endpoint is disabled or deleted.' },
      ])
    }, WAIT)
    expect(receiver.received).toEqual([])
  })

  test('a secret that was put into another row signs nothing', async () => {
    const { receiver, create } = await stage()
    const [mine, theirs] = [await create('/mine'), await create('/theirs')]
    await storage.mine.db.query(
      'update webhook_endpoints set secret = (select secret from webhook_endpoints where endpoint_id = $1) where endpoint_id = $2',
      [mine.id, theirs.id],
    )
    await storage.mine.webhookEndpoints.test(theirs.id)
    await vi.waitFor(async () => {
      expect((await endpoint(theirs.id))?.last_error).toContain('does not open')
    }, WAIT)
    expect(receiver.received).toEqual([])
  })

  /** A receiver, and what delivers to it. */
  async function stage(given: { tryMs?: number; receiver?: Receiver; allowed?: string[] } = {}) {
    const { tryMs, receiver = await startReceiver(), allowed = [receiver.host] } = given
    const reach = guardedAgent({ hosts: [], allowPrivate: allowed })
    const keys = webhookKeys(await secretAt(database.place))
    const logLines: string[] = []
    const log = createLog((line) => logLines.push(line))
    const send = webhookSender(reach, receiver.url)
    const options = tryMs === undefined ? {} : { tryMs }
    const deliver = ({ webhooks, webhookEndpoints, signals }: StoragePorts) => {
      const started = startWebhooks({ webhooks, webhookEndpoints, signals, log, keys, send }, options)
      closers.push(started.close)
      return started
    }
    closers.push(receiver.close, () => reach.close())
    const create = (path: string) => createAt(receiver, keys, path)
    return { receiver, logLines, keys, create, deliver, delivering: deliver(storage.mine) }
  }

  async function createAt({ url }: Receiver, keys: WebhookKeys, path: string) {
    const [id, secret] = [newId(), newWebhookSecret()]
    const all = { description: '', events: [], tools: [], thread_metadata: {}, tenant: null }
    const endpoint = { ...all, endpoint_id: id, url: url + path }
    await storage.mine.webhookEndpoints.create(endpoint, sealSecret(keys, id, secret))
    return { id, secret }
  }

  async function endpoint(id: string) {
    return (await storage.mine.webhookEndpoints.list()).find((one) => one.endpoint_id === id)
  }

  const untilTold = (id: string) =>
    vi.waitFor(async () => {
      const told = await endpoint(id)
      expect(told).toMatchObject({ pending: 0, dead: 0 })
      expect(told?.delivered_at).not.toBeNull()
    }, WAIT)
})
