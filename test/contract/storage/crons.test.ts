import { expect, test, vi } from 'vitest'
import { LOCAL } from '../../../runtime/people.ts'
import { CronNotFired, type NewCron, type ScheduledCron } from '../../../runtime/cron.ts'
import { newId } from '../../../runtime/ids.ts'
import type { Json } from '../../../runtime/json.ts'
import { topics } from '../../../runtime/topics.ts'
import { startScheduler } from '../../../runtime/scheduler.ts'
import type { StartRequest } from '../../../runtime/start-run.ts'
import { startOfCron } from '../../../server/cron-request.ts'
import { createCrons } from '../../../storage/crons.ts'
import { onBothDatabases, onPostgres } from '../../support/each-database.ts'
import {
  claimOf,
  createThread,
  createWorker,
  NOTHING_ASKED,
  type StoragePorts,
  untilBlocked,
  useStorage,
} from '../../support/storage.ts'

const PAGE = { limit: 10, offset: 0, sort_by: 'created_at', sort_order: 'asc' } as const

/** The run that is due, on a thread of its own or on the cron's. */
function startOf(cron: ScheduledCron): StartRequest {
  const { command: _, ...request } = NOTHING_ASKED
  return {
    threadId: cron.thread_id ?? newId(),
    assistantId: cron.assistant_id,
    request: { ...request, command: null, input: cron.payload['input'] ?? null },
    metadata: { cron_id: cron.cron_id },
    multitaskStrategy: cron.payload['multitask_strategy'] === 'reject' ? 'reject' : 'enqueue',
    afterSeconds: 0,
    createThread: cron.thread_id === null ? 'temporary' : false,
    allowed: cron.allowed,
    by: LOCAL,
  }
}

async function createAssistant({ assistants }: StoragePorts): Promise<string> {
  const { assistant_id } = await assistants.create(
    {
      assistant_id: newId(),
      graph_id: 'react',
      name: 'A',
      description: null,
      config: {},
      context: {},
      metadata: {},
    },
    'raise',
    'default',
  )
  return assistant_id
}

async function createCron(ports: StoragePorts, given: Partial<NewCron> = {}): Promise<string> {
  const threadId = given.thread_id ?? null
  const { cron_id } = await ports.crons.create({
    tenant: 'default',
    cron_id: newId(),
    assistant_id: given.assistant_id ?? (await createAssistant(ports)),
    thread_id: threadId,
    on_run_completed: threadId === null ? 'delete' : null,
    user_id: null,
    schedule: '0 0 1 1 *',
    timezone: null,
    end_time: null,
    enabled: true,
    payload: {},
    metadata: {},
    caller: { user: null, headers: {} },
    allowed: {},
    ...given,
  })
  return cron_id
}

/** As if it had been due for so long. */
async function makeDue({ db }: StoragePorts, cronId: string, seconds = 1): Promise<void> {
  await db.query(
    'update crons set next_run_date = clock_timestamp() - make_interval(secs => $2) where cron_id = $1',
    [cronId, seconds],
  )
}

async function runsOf(
  { db }: StoragePorts,
  cronId: string,
): Promise<{ thread_id: string; status: string }[]> {
  const { rows } = await db.query<{ thread_id: string; status: string }>(
    `select thread_id, status from runs where metadata ->> 'cron_id' = $1 order by position`,
    [cronId],
  )
  return rows
}

onBothDatabases((database) => {
  const storage = useStorage(database)

  test('what is due starts one run, however many times were missed, and is due again after now', async () => {
    const { mine } = storage
    const cronId = await createCron(mine, { schedule: '* * * * *', payload: { input: { n: 1 } } })
    expect(await mine.crons.fire(startOf)).toBeUndefined()
    await makeDue(mine, cronId, 3_600)
    const fired = await mine.crons.fire(startOf)
    expect(fired).toMatchObject({
      cron_id: cronId,
      run: {
        status: 'pending',
        kwargs: { input: { n: 1 } },
        metadata: { cron_id: cronId, graph_id: 'react' },
      },
    })
    expect(await mine.crons.fire(startOf)).toBeUndefined()
    expect(await runsOf(mine, cronId)).toHaveLength(1)
    const { next_run_date: next } = (await mine.crons.get(cronId)) ?? {}
    const ahead = Date.parse(next ?? '') - (await mine.crons.now()).getTime()
    expect(ahead).toBeGreaterThan(-1_000)
    expect(ahead).toBeLessThanOrEqual(60_000)
  })

  test('whoever changes what the runs are asked for has asked for them, too', async () => {
    const { mine } = storage
    const cronId = await createCron(mine, { on_run_completed: 'keep' })
    await mine.crons.update(cronId, { schedule: '0 0 2 1 *' })
    for (const by of ['mal', 'ben', 'mal']) await mine.crons.update(cronId, { payload: { input: 1 }, by })
    await makeDue(mine, cronId)
    await mine.crons.fire(startOfCron)
    const { rows } = await mine.db.query('select requested_by from runs')
    expect(rows).toEqual([{ requested_by: ['local', 'mal', 'ben'] }])
  })

  test('seconds until the next are told, past those that were set aside', async () => {
    const { mine } = storage
    expect(await mine.crons.nextIn()).toBeUndefined()
    const cronId = await createCron(mine)
    expect(await mine.crons.nextIn()).toBeGreaterThan(0)
    await makeDue(mine, cronId, 5)
    const overdue = (await mine.crons.nextIn()) ?? 0
    expect(overdue).toBeLessThan(-4)
    expect(await mine.crons.nextIn([cronId])).toBeUndefined()
    expect(await mine.crons.fire(startOf, [cronId])).toBeUndefined()
    await mine.crons.update(cronId, { enabled: false })
    expect(await mine.crons.nextIn()).toBeUndefined()
  })

  test('a refused run is noted, and forgotten with the next that is started', async () => {
    const { mine } = storage
    const threadId = await createThread(mine)
    const cronId = await createCron(mine, { thread_id: threadId, payload: { multitask_strategy: 'reject' } })
    const other = await createCron(mine)
    await makeDue(mine, cronId, 10)
    expect(await mine.crons.fire(startOf)).toMatchObject({ run: { thread_id: threadId } })

    await makeDue(mine, cronId, 10)
    await makeDue(mine, other, 5)
    const fired = [await mine.crons.fire(startOf), await mine.crons.fire(startOf)]
    expect(fired).toMatchObject([
      { cron_id: other, run: {} },
      { cron_id: cronId, missed: { error: 'thread_busy' } },
    ])
    expect(await mine.crons.fire(startOf)).toBeUndefined()
    const missed = await mine.crons.get(cronId)
    expect(missed?.last_error).toMatchObject({ error: 'thread_busy' })
    expect(Date.parse(missed?.next_run_date ?? '')).toBeGreaterThan(Date.now())
    expect(await runsOf(mine, cronId)).toHaveLength(1)

    await claimOf(mine, await createWorker(mine), threadId)
    await mine.db.query(`update runs set status = 'success' where thread_id = $1`, [threadId])
    await makeDue(mine, cronId)
    expect(await mine.crons.fire(startOf)).toMatchObject({ run: { thread_id: threadId } })
    expect((await mine.crons.get(cronId))?.last_error).toBeNull()
  })

  test('what is neither started nor refused stays due, and leaves nothing behind', async () => {
    const { mine } = storage
    const cronId = await createCron(mine)
    await makeDue(mine, cronId)
    const before = await mine.crons.get(cronId)
    const fault = new Error('a fault')
    const failing = mine.crons.fire((cron) => ({
      ...startOf(cron),
      get metadata(): Record<string, Json> {
        throw fault
      },
    }))
    await expect(failing).rejects.toThrow(CronNotFired)
    await expect(failing).rejects.toMatchObject({ cronId, cause: fault })
    expect(await mine.crons.get(cronId)).toEqual(before)
    expect(await mine.crons.fire(startOf)).toMatchObject({ run: {} })
  })

  test('of a thread that is no longer what it must be, nothing is started', async () => {
    const { mine } = storage
    const threadId = await createThread(mine, { owner: 'alice' })
    const cronId = await createCron(mine, { thread_id: threadId, allowed: { owner: 'alice' } })
    await mine.threads.patch(threadId, { owner: 'bob' })
    await makeDue(mine, cronId)
    expect(await mine.crons.fire(startOf)).toMatchObject({ missed: { error: 'thread_not_found' } })
  })

  test('a cron goes with its thread, however that goes, and with its assistant; its runs stay', async () => {
    const { mine } = storage
    const assistantId = await createAssistant(mine)
    const [deleted, pruned] = [await createThread(mine), await createThread(mine)]
    const ids = [
      await createCron(mine, { thread_id: deleted }),
      await createCron(mine, { thread_id: pruned }),
      await createCron(mine, { assistant_id: assistantId }),
    ]
    const [, , ofAssistant = ''] = ids
    await makeDue(mine, ofAssistant)
    await mine.crons.fire(startOf)
    await mine.threads.delete(deleted)
    await mine.threads.prune(pruned, 'delete')
    await mine.assistants.delete(assistantId)
    for (const id of ids) expect(await mine.crons.get(id)).toBeUndefined()
    expect(await runsOf(mine, ofAssistant)).toHaveLength(1)
    const gone = createCron(mine, { thread_id: deleted })
    await expect(gone).rejects.toMatchObject({ code: 'thread_not_found' })
    const nobody = createCron(mine, { assistant_id: newId() })
    await expect(nobody).rejects.toMatchObject({ code: 'assistant_not_found' })
  })

  test('a thread that a cron still runs on outlives its time, until the cron is over or deleted', async () => {
    const { mine } = storage
    const ttl = { strategy: 'delete', ttl_minutes: 30 } as const
    const { thread_id: threadId } = await mine.threads.create({
      thread_id: newId(),
      metadata: {},
      ttl,
      tenant: 'default',
      ifExists: 'raise',
    })
    const cronId = await createCron(mine, { thread_id: threadId })
    const expired = () => mine.threads.expired(new Date(Date.now() + 31 * 60_000))
    expect(await expired()).toEqual([])
    await mine.crons.update(cronId, { enabled: false })
    expect(await expired()).toEqual([{ threadId, strategy: 'delete' }])
    await mine.crons.update(cronId, { enabled: true })
    expect(await expired()).toEqual([])
    await mine.crons.delete(cronId)
    expect(await expired()).toHaveLength(1)
  })

  test('a change of when counts from now, and one of what leaves the due time as it is', async () => {
    const { crons } = storage.mine
    const cronId = await createCron(storage.mine, { payload: { input: 1, webhook: 'https://example.com' } })
    await makeDue(storage.mine, cronId)
    const due = (await crons.get(cronId))?.next_run_date
    const changed = await crons.update(cronId, {
      payload: { input: 2, webhook: null },
      metadata: { a: 1 },
      enabled: true,
      schedule: '0 0 1 1 *',
    })
    expect(changed).toMatchObject({ next_run_date: due, payload: { input: 2 }, metadata: { a: 1 } })
    expect(changed?.payload).not.toHaveProperty('webhook')

    const later = await crons.update(cronId, { timezone: 'Asia/Kathmandu', metadata: { b: 2 } })
    expect(later?.next_run_date).toMatch(/-12-31T18:15:00.000Z$/)
    expect(later?.metadata).toEqual({ a: 1, b: 2 })
    expect((await crons.update(cronId, { enabled: false }))?.next_run_date).toBeNull()
    expect((await crons.update(cronId, { enabled: true }))?.next_run_date).toBe(later?.next_run_date)
    expect(await crons.update(newId(), { enabled: true })).toBeUndefined()
  })

  test('after its end a cron is due no more, unless the end is taken away', async () => {
    const { crons } = storage.mine
    const cronId = await createCron(storage.mine, { schedule: '* * * * *' })
    await makeDue(storage.mine, cronId, 120)
    await storage.mine.db.query('update crons set end_time = next_run_date where cron_id = $1', [cronId])
    // What was due before its end is made up for.
    expect(await crons.fire(startOf)).toMatchObject({ run: {} })
    expect(await crons.get(cronId)).toMatchObject({ next_run_date: null, enabled: true })
    expect(await crons.nextIn()).toBeUndefined()
    const past = crons.update(cronId, { end_time: '2020-01-01T00:00:00.000Z' })
    await expect(past).rejects.toMatchObject({ code: 'invalid_input' })
    expect((await crons.update(cronId, { end_time: null }))?.next_run_date).not.toBeNull()
  })

  test('crons are found by assistant, thread, metadata and whether they are enabled, in pages', async () => {
    const { mine } = storage
    const threadId = await createThread(mine)
    const assistantId = await createAssistant(mine)
    const first = await createCron(mine, { thread_id: threadId, metadata: { n: 1, group: 'a' } })
    const second = await createCron(mine, { assistant_id: assistantId, metadata: { n: 2, group: 'a' } })
    const third = await createCron(mine, { enabled: false, metadata: { n: 3, group: 'b' } })
    const found = async (filter: object): Promise<[number[], number]> => {
      const { items, total } = await mine.crons.search({ ...PAGE, ...filter })
      return [items.map(({ cron_id: id }) => [first, second, third].indexOf(id) + 1), total]
    }
    expect(await found({})).toEqual([[1, 2, 3], 3])
    expect(await found({ thread_id: threadId })).toEqual([[1], 1])
    expect(await found({ assistant_id: assistantId })).toEqual([[2], 1])
    expect(await found({ enabled: false })).toEqual([[3], 1])
    expect(await found({ metadata: { group: 'a' } })).toEqual([[1, 2], 2])
    expect(await found({ metadata: { group: 'a' }, allowed: { n: 2 } })).toEqual([[2], 1])
    expect(await found({ limit: 1, offset: 1, sort_order: 'desc' })).toEqual([[2], 3])
    for (const sort_by of ['cron_id', 'assistant_id', 'thread_id', 'updated_at', 'next_run_date'] as const)
      expect((await found({ sort_by }))[1]).toBe(3)
    // Those that are never due come last, either way.
    for (const sort_order of ['asc', 'desc'] as const)
      expect((await found({ sort_by: 'next_run_date', sort_order }))[0].at(-1)).toBe(3)
    expect(await mine.crons.count({ metadata: { group: 'a' } })).toBe(2)
    expect(await mine.crons.count({ allowed: { group: 'b' }, enabled: true })).toBe(0)
    expect(await mine.crons.delete(first)).toBe(true)
    expect(await mine.crons.delete(first)).toBe(false)
  })

  test('the time is what a given clock says', async () => {
    const { mine } = storage
    let time = new Date('2030-01-01T12:00:30Z')
    const crons = createCrons(mine.db, { clock: () => time })
    const cronId = await createCron({ ...mine, crons }, { schedule: '* * * * *' })
    expect((await crons.get(cronId))?.next_run_date).toBe('2030-01-01T12:01:00.000Z')
    expect(await crons.nextIn()).toBe(30)
    expect(await crons.fire(startOf)).toBeUndefined()
    time = new Date('2030-01-01T12:01:00Z')
    expect(await crons.fire(startOf)).toMatchObject({ run: {} })
    expect((await crons.get(cronId))?.next_run_date).toBe('2030-01-01T12:02:00.000Z')
  })

  test('the scheduler starts what is due as soon as it hears of it, and sets aside what breaks it', async () => {
    const { mine } = storage
    const broken = await createCron(mine)
    const log: string[] = []
    const note = (message: string) => void log.push(message)
    let asked = 0
    const scheduler = startScheduler({
      ...mine,
      log: { info: note, warn: note, error: note },
      startOf(cron) {
        if (cron.cron_id !== broken) return startOf(cron)
        asked += 1
        throw new TypeError('a fault')
      },
    })
    try {
      for (let round = 1; round <= 3; round++) {
        const other = await createCron(mine)
        await makeDue(mine, broken, 60)
        await makeDue(mine, other)
        await mine.crons.update(other, {})
        await vi.waitFor(async () => expect(await runsOf(mine, other)).toHaveLength(1), { timeout: 10_000 })
      }
      expect(log).toContain('A cron could not start its run; trying again')
      // Not once a moment, and it is due still.
      expect(asked).toBeLessThan(3)
      expect(await runsOf(mine, broken)).toEqual([])
      expect(await mine.crons.nextIn()).toBeLessThan(0)
    } finally {
      await scheduler.close()
    }
  })

  test('whoever waits hears of a new cron and of a changed one, in other processes, too', async () => {
    const { mine, other } = storage
    const watch = other.signals.watch(topics.crons)
    const news = () => watch.changed({ timeoutMs: 10_000 })
    try {
      const started = performance.now()
      const cronId = await createCron(mine)
      await news()
      await mine.crons.update(cronId, { schedule: '1 * * * *' })
      await news()
      expect(performance.now() - started).toBeLessThan(9_000)
    } finally {
      watch.close()
    }
  })
})

onPostgres((database) => {
  const storage = useStorage(database)

  test('what two servers find due at once is started by one of them, each', async () => {
    const { mine, other } = storage
    const ids: string[] = []
    for (let n = 0; n < 20; n++)
      ids.push(await createCron(mine, n % 2 === 0 ? {} : { thread_id: await createThread(mine) }))
    for (let round = 0; round < 3; round++) {
      for (const id of ids) await makeDue(mine, id)
      const drain = async ({ crons }: StoragePorts) => {
        let started = 0
        while ((await crons.fire(startOf)) !== undefined) started += 1
        return started
      }
      const shares = await Promise.all([drain(mine), drain(other), drain(mine), drain(other)])
      expect(shares.reduce((sum, share) => sum + share)).toBe(ids.length)
      for (const id of ids) expect(await runsOf(mine, id)).toHaveLength(round + 1)
    }
  })

  test('a thread that somebody has locked keeps its own cron waiting, and no other', async () => {
    const { mine, other } = storage
    const threadId = await createThread(mine)
    const locked = await createCron(mine, { thread_id: threadId })
    const free = await createCron(mine, { thread_id: await createThread(mine) })
    await makeDue(mine, locked, 10)
    await makeDue(mine, free, 5)
    await other.db.transaction(async (client) => {
      await client.query('select 1 from threads where thread_id = $1 for update', [threadId])
      expect(await mine.crons.fire(startOf)).toMatchObject({ cron_id: free })
      expect(await mine.crons.fire(startOf)).toBeUndefined()
    })
    expect(await mine.crons.fire(startOf)).toMatchObject({ cron_id: locked })
  })

  test('a thread that is deleted while its cron is being started takes the run with it, without a deadlock', async () => {
    const { mine, other } = storage
    const threadId = await createThread(mine)
    const cronId = await createCron(mine, { thread_id: threadId })
    await makeDue(mine, cronId)
    let deleting: Promise<boolean> | undefined
    const fired = await mine.crons.fire((cron) => {
      deleting = other.threads.delete(threadId)
      return startOf(cron)
    })
    expect(fired).toMatchObject({ run: { thread_id: threadId } })
    expect(await deleting).toBe(true)
    expect(await runsOf(mine, cronId)).toEqual([])
    expect(await mine.crons.get(cronId)).toBeUndefined()
  })

  test('a change that waits for the start of a run loses neither', async () => {
    const { mine, other } = storage
    const cronId = await createCron(mine)
    await makeDue(mine, cronId)
    let changing: Promise<unknown> | undefined
    await mine.db.transaction(async (client) => {
      await client.query('select 1 from crons where cron_id = $1 for update', [cronId])
      changing = other.crons.update(cronId, { schedule: '0 0 1 6 *' })
      await untilBlocked(mine)
    })
    expect(await changing).toMatchObject({ next_run_date: expect.stringMatching(/-06-01T00:00:00.000Z$/) })
    expect(await mine.crons.fire(startOf)).toBeUndefined()
  })
})
