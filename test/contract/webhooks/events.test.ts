import { describe, expect, test } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { LOCAL } from '../../../runtime/people.ts'
import type { Json } from '../../../runtime/json.ts'
import type { Outcome } from '../../../runtime/outcome.ts'
import type { ClaimedRun } from '../../../runtime/run.ts'
import type { NewEndpoint } from '../../../runtime/webhook.ts'
import { newWebhookSecret, sealSecret, webhookKeys } from '../../../runtime/webhook-secret.ts'
import { createAudit } from '../../../storage/audit.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import {
  claimOf,
  createRun,
  createThread,
  createWorker,
  endedWell,
  pausedState,
  secretAt,
  useStorage,
  watchedPorts,
} from '../../support/storage.ts'

const HOUR_MS = 3_600_000
const ERROR = { error: 'Error', message: 'No.' }
const NO_EVENTS = { from: 0, list: [] }

interface Told {
  endpoint_id: string
  type: string
  payload: { type: string; timestamp: string; data: Record<string, unknown> }
}

onEachDatabase((database) => {
  const storage = useStorage(database)

  describe('an approval', () => {
    test('that is asked for is told as /approvals shows it, to each endpoint by itself', async () => {
      const endpoints = [await create(), await create()]
      const { approvalId } = await held()
      const requested = await told('approval.requested')
      expect(requested.map((one) => one.endpoint_id).toSorted()).toEqual(endpoints.toSorted())
      const hold = await storage.mine.holds.get(approvalId)
      for (const { payload } of requested) {
        expect(payload).toEqual({ type: 'approval.requested', timestamp: expect.any(String), data: hold })
        expect(Date.parse(payload.timestamp)).toBe(Date.parse(hold?.created_at ?? ''))
      }
    })

    test('that is decided is told with the decision and the run that goes on', async () => {
      await create()
      const { approvalId } = await held()
      await storage.mine.holds.decide(approvalId, { type: 'approve' }, LOCAL, undefined)
      const hold = await storage.mine.holds.get(approvalId)
      expect(hold).toMatchObject({ status: 'approved', resumed_run_id: expect.any(String) })
      expect((await told('approval.decided')).map(({ payload }) => payload.data)).toEqual([hold])
    })

    test('that nobody decides in time is told as expired', async () => {
      await create()
      const { approvalId } = await held()
      await storage.mine.holds.expire(new Date(Date.now() + 5 * HOUR_MS))
      const hold = await storage.mine.holds.get(approvalId)
      expect((await told('approval.expired')).map(({ payload }) => payload.data)).toEqual([hold])
    })

    test('whose thread is deleted is told as cancelled, to those who asked for that thread', async () => {
      await create({ thread_metadata: { team: 'a' } })
      await create({ thread_metadata: { team: 'b' } })
      const { threadId, approvalId } = await held({ team: 'a' })
      await storage.mine.threads.delete(threadId)
      const cancelled = await told('approval.cancelled')
      expect(cancelled.map(({ payload }) => payload.data)).toEqual([await storage.mine.holds.get(approvalId)])
    })

    test('whose decision is taken back is asked for again; where new input takes it away at once, it is cancelled', async () => {
      await create()
      const { mine } = storage
      const first = await held()
      const { resumed_run_id: resumed } = await mine.holds.decide(
        first.approvalId,
        { type: 'approve' },
        LOCAL,
        undefined,
      )
      await mine.runs.cancel(first.threadId, resumed ?? '', 'interrupt')
      expect(await typesOf(first.approvalId)).toEqual([
        'approval.requested',
        'approval.decided',
        'approval.requested',
      ])

      const second = await held()
      await mine.holds.decide(second.approvalId, { type: 'approve' }, LOCAL, undefined)
      await createRun(mine, second.threadId, { multitask_strategy: 'rollback' })
      expect(await mine.holds.get(second.approvalId)).toMatchObject({ status: 'cancelled' })
      expect(await typesOf(second.approvalId)).toEqual([
        'approval.requested',
        'approval.decided',
        'approval.cancelled',
      ])
    })
  })

  describe('a run', () => {
    test('that ended well is told without its values, and says whether it stands at a pause', async () => {
      await create()
      const { mine } = storage
      const run = await running({ metadata: { mark: 'x' } })
      await mine.queue.settle(run, endedWell({ values: '{"secret":"of the state"}' }))
      const { run: paused } = await held()
      const completed = await told('run.completed')
      expect(completed.map(({ payload: { data } }) => [data['run_id'], data['paused']])).toEqual([
        [run.run_id, false],
        [paused.run_id, true],
      ])
      const [{ payload } = { payload: undefined }] = completed
      expect(payload?.data).toEqual({
        run_id: run.run_id,
        thread_id: run.thread_id,
        assistant_id: run.assistant_id,
        status: 'success',
        paused: false,
        error: null,
        metadata: { mark: 'x', graph_id: 'test' },
        created_at: run.created_at,
        run_started_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        run_ended_at: payload?.timestamp,
      })
    })

    test.each(['error', 'timeout'] as const)('that ended with %s is told as failed', async (status) => {
      await create()
      const run = await running()
      await end(run, { status, events: NO_EVENTS, state: undefined, error: ERROR })
      expect((await told()).map(({ payload }) => payload)).toMatchObject([
        { type: 'run.failed', data: { run_id: run.run_id, status, error: ERROR } },
      ])
    })

    test('that was cancelled, rolled back or taken over is told to nobody', async () => {
      await create()
      await end(await running(), { status: 'interrupted', events: NO_EVENTS, state: undefined })
      await end(await running(), { status: 'rolled_back' })
      const run = await running()
      expect(await storage.mine.queue.settle({ ...run, lease_token: '0' }, endedWell())).toBe(false)
      expect(await told()).toEqual([])
    })
  })

  test('an endpoint is told what it asks for, and a disabled one nothing', async () => {
    const of = {
      runs: await create({ events: ['run.completed', 'run.failed'] }),
      asked: await create({ events: ['approval.requested'] }),
      mails: await create({ tools: ['send_email'] }),
      files: await create({ tools: ['write_file'] }),
      ours: await create({ thread_metadata: { team: 'a', floor: 2 } }),
      theirs: await create({ thread_metadata: { team: 'b' } }),
      nobody: await create(),
    }
    await storage.mine.webhookEndpoints.disable(of.nobody, 'Disabled by hand.')
    await held({ team: 'a', floor: 2, room: 7 })
    const all = Map.groupBy(await told(), (one) => one.endpoint_id)
    const types = Object.entries(of).map(([name, id]) => [
      name,
      all
        .get(id)
        ?.map(({ type }) => type)
        .toSorted(),
    ])
    expect(Object.fromEntries(types)).toEqual({
      runs: ['run.completed'],
      asked: ['approval.requested'],
      mails: ['approval.requested', 'run.completed'],
      files: ['run.completed'],
      ours: ['approval.requested', 'run.completed'],
      theirs: undefined,
      nobody: undefined,
    })
  })

  test('an endpoint of a tenant is told of that tenant’s approvals and runs alone', async () => {
    const of = { acme: await create({ tenant: 'acme' }), other: await create({ tenant: 'other' }) }
    const { mine } = storage
    const threadId = await createThread(mine)
    await mine.db.query(`update threads set tenant_id = 'acme' where thread_id = $1`, [threadId])
    await createRun(mine, threadId)
    const run = await claimOf(mine, await createWorker(mine), threadId)
    const state = pausedState(threadId, [{ n: 1 }])
    await end(run, endedWell(state))
    await mine.holds.decide(state.holds[0]?.approval_id ?? '', { type: 'reject' }, LOCAL, undefined)
    await held()
    const all = await told()
    expect(all.map(({ endpoint_id }) => endpoint_id)).toEqual(all.map(() => of.acme))
    expect(all.map(({ type }) => type).toSorted()).toEqual([
      'approval.decided',
      'approval.requested',
      'run.completed',
    ])
    expect(JSON.stringify(all)).not.toContain('"tenant_id":"default"')
  })

  test('what becomes of an endpoint is in the record of administration, without what opens it', async () => {
    const { webhookEndpoints: endpoints, db } = storage.mine
    const id = newId()
    const url = 'https://hooks.example/services/T0P-S3CRET'
    await endpoints.create(endpoint(id, { url, tenant: 'acme', tools: ['send_email'] }), 'sealed', 'ada')
    await endpoints.rotate(id, 'sealed-anew', 60, 'ada')
    await endpoints.disable(id, 'It answered 410.')
    await endpoints.enable(id, 'ada')
    await endpoints.delete(id, 'ada')
    expect(await endpoints.delete(id, 'ada')).toBe(false)
    const entries = await createAudit(db).search({
      order: 'asc',
      limit: 100,
      administrationOf: 'acme',
      allowed: {},
    })
    const own = entries.filter(({ data }) => data['endpoint_id'] === id)
    const said = { endpoint_id: id, origin: 'https://hooks.example', tenant: 'acme' }
    expect(own.map(({ kind, actor, data }) => [kind, actor, data])).toEqual([
      ['endpoint.created', 'ada', { ...said, events: [], tools: ['send_email'] }],
      ['endpoint.rotated', 'ada', { ...said, overlap_seconds: 60 }],
      ['endpoint.disabled', 'holdpoint', { ...said, because: 'It answered 410.' }],
      ['endpoint.enabled', 'ada', said],
      ['endpoint.deleted', 'ada', said],
    ])
    expect(new Set(own.map(({ chain }) => chain))).toEqual(new Set(['administration']))
  })

  test('the end of a run is as many statements with endpoints as without, and asks for none where none is', async () => {
    const { mine } = storage
    const statements: string[] = []
    const ports = await watchedPorts(mine.db, await secretAt(database.place), (sql) => statements.push(sql))
    const counted = async () => {
      const run = await running()
      statements.length = 0
      await ports.queue.settle(run, endedWell())
      return statements.length
    }
    const without = await counted()
    expect(without).toBe(3)
    await create()
    await create()
    expect(await counted()).toBe(without)
    expect(await told('run.completed')).toHaveLength(2)
  })

  test('what was delivered is kept for a day, what was given up for thirty', async () => {
    const { mine } = storage
    const id = await create()
    const [delivered, dead] = [await mine.webhookEndpoints.test(id), await mine.webhookEndpoints.test(id)]
    await mine.webhookEndpoints.test(id)
    await mine.webhooks.delivered(delivered ?? '')
    await mine.webhooks.failed(dead ?? '', 'No.', undefined)
    const left = async (days: number) => {
      await mine.webhooks.prune(new Date(Date.now() + days * 24 * HOUR_MS))
      return (await told()).length
    }
    expect(await left(0.9)).toBe(3)
    expect(await left(1.1)).toBe(2)
    expect(await left(29)).toBe(2)
    expect(await left(31)).toBe(1)
  })

  test('a dump of the tables has no secret in it', async () => {
    const id = newId()
    const secret = newWebhookSecret()
    const keys = webhookKeys(await secretAt(database.place))
    await storage.mine.webhookEndpoints.create(endpoint(id), sealSecret(keys, id, secret))
    await storage.mine.webhookEndpoints.rotate(id, sealSecret(keys, id, newWebhookSecret()), 60)
    await held()
    const { rows } = await storage.mine.db.query<{ line: string }>(
      'select e::text as line from webhook_endpoints e union all select w::text from webhooks w',
    )
    const dump = rows.map(({ line }) => line).join('\n')
    expect(dump).toContain(id)
    const raw = Buffer.from(secret.slice('whsec_'.length), 'base64')
    for (const shape of [
      secret,
      secret.slice('whsec_'.length),
      raw.toString('hex'),
      raw.toString('base64url'),
    ])
      expect(dump).not.toContain(shape)
  })

  test.each([
    ['https://Hooks.Example/a?b', '//hooks.example'],
    ['http://hooks.example:81/a', '//hooks.example:81'],
    ['http://user:word@hooks.example/a', '//hooks.example'],
    ['http://[::1]:80?x', '//[::1]:80'],
    ['/desk/told', '/'],
  ])('a receiver that a run names, %s, shares its lanes with others of its host', async (url, target) => {
    const { rows } = await storage.mine.db.query<{ target: string }>(
      `insert into webhooks (url, payload) values ($1, '{}') returning target`,
      [url],
    )
    expect(rows).toEqual([{ target }])
  })

  function endpoint(id: string, wants: Partial<NewEndpoint> = {}): NewEndpoint {
    const url = 'https://hooks.example/'
    return {
      endpoint_id: id,
      url,
      description: '',
      events: [],
      tools: [],
      thread_metadata: {},
      tenant: null,
      ...wants,
    }
  }

  async function create(wants: Partial<NewEndpoint> = {}): Promise<string> {
    const id = newId()
    await storage.mine.webhookEndpoints.create(endpoint(id, wants), 'sealed')
    return id
  }

  async function running(
    given: Parameters<typeof createRun>[2] = {},
    metadata: Record<string, Json> = {},
  ): Promise<ClaimedRun> {
    const threadId = await createThread(storage.mine, metadata)
    await createRun(storage.mine, threadId, given)
    return await claimOf(storage.mine, await createWorker(storage.mine), threadId)
  }

  async function held(metadata: Record<string, Json> = {}) {
    const run = await running({}, metadata)
    const state = pausedState(run.thread_id, [{ n: 1 }])
    await end(run, endedWell(state))
    return { run, threadId: run.thread_id, approvalId: state.holds[0]?.approval_id ?? '' }
  }

  async function end(run: ClaimedRun, outcome: Outcome): Promise<void> {
    expect(await storage.mine.queue.settle(run, outcome)).toBe(true)
  }

  async function told(type?: string): Promise<Told[]> {
    const { rows } = await storage.mine.db.query<Told & Record<string, unknown>>(
      `select endpoint_id, type, payload from webhooks where $1::text is null or type = $1 order by created_at`,
      [type ?? null],
    )
    return rows
  }

  async function typesOf(approvalId: string): Promise<string[]> {
    return (await told()).flatMap(({ type, payload }) =>
      payload.data['approval_id'] === approvalId ? [type] : [],
    )
  }
})
