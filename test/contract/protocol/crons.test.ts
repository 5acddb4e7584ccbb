import { type Cron } from '@langchain/langgraph-sdk'
import { describe, expect, test, vi } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { WAIT } from '../../support/stage.ts'
import { get, runsOf, useTurnedServer } from '../../support/turned-server.ts'

const STATES = new URL('../../support/states/langgraph.json', import.meta.url).pathname

const MINUTE_MS = 60_000

onEachDatabase((database) => {
  describe('crons', () => {
    const server = useTurnedServer(database, STATES)
    const daily = { schedule: '0 9 * * *', input: { trail: [] } }
    const create = (more: object = {}) => server.client.crons.create('configured', { ...daily, ...more })

    test('/info says that there are crons', async () => {
      expect((await server.http('GET', '/info')).json()).toMatchObject({ flags: { crons: true } })
    })

    test('a cron is what was asked for, and due at its next time', async () => {
      server.turnTo('2027-11-21T08:59:50Z')
      const created = await create({
        input: { trail: [] },
        metadata: { team: 'blue' },
        timezone: 'Europe/Stockholm',
        endTime: '2028-01-31T18:00:00+01:00',
        onRunCompleted: 'keep',
      })
      const assistant = await server.client.assistants.search({ graphId: 'configured' })
      expect(created).toMatchObject({
        assistant_id: assistant[0]?.assistant_id,
        thread_id: null,
        user_id: null,
        schedule: '0 9 * * *',
        timezone: 'Europe/Stockholm',
        end_time: '2028-01-31T17:00:00.000Z',
        on_run_completed: 'keep',
        enabled: true,
        metadata: { team: 'blue' },
        payload: { input: { trail: [] } },
        next_run_date: '2027-11-22T08:00:00.000Z',
        last_error: null,
      })
      expect(created).not.toHaveProperty('caller')
      expect(await get(server.client, created.cron_id)).toEqual(created)
      expect((await server.http('GET', `/runs/crons/${created.cron_id}`)).json()).toEqual(created)
      await server.client.crons.delete(created.cron_id)
    })

    test('at each due time one run is started, on a thread of its own that stays where it is to be kept', async () => {
      const { cron_id: cronId } = await create({ metadata: { team: 'blue' }, onRunCompleted: 'keep' })
      for (let count = 1; count <= 3; count++) {
        await server.pass(server.client, cronId)
        const runs = await runsOf(server.client, cronId, count)
        expect(new Set(runs.map(({ thread_id: id }) => id)).size).toBe(count)
        for (const run of runs)
          expect(run).toMatchObject({
            status: 'success',
            metadata: { cron_id: cronId, team: 'blue', graph_id: 'configured' },
          })
        const { next_run_date: next } = await get(server.client, cronId)
        expect(Date.parse(next ?? '') - server.now().getTime()).toBeGreaterThan(23 * 60 * MINUTE_MS)
      }
      await server.client.crons.delete(cronId)
      // Its runs stay.
      await runsOf(server.client, cronId, 3)
    })

    test('the threads of the others are in no list', async () => {
      const { cron_id: cronId } = await create()
      const [before] = [await get(server.client, cronId)]
      await server.pass(server.client, cronId)
      await vi.waitFor(async () => {
        expect((await get(server.client, cronId)).next_run_date).not.toBe(before.next_run_date)
      }, WAIT)
      expect(await server.client.threads.search({ metadata: { cron_id: cronId } })).toEqual([])
      await server.client.crons.delete(cronId)
    })

    test('on a thread the runs come one after the other, with what it has', async () => {
      const { thread_id: threadId } = await server.client.threads.create()
      const created = await server.client.crons.createForThread(threadId, 'configured', {
        ...daily,
        config: { configurable: { tenant: 'acme' } },
      })
      expect(created).toMatchObject({ thread_id: threadId, on_run_completed: null })
      for (let count = 1; count <= 2; count++) {
        await server.pass(server.client, created.cron_id)
        await vi.waitFor(async () => {
          const { values } = await server.client.threads.getState<{ trail: string[] }>(threadId)
          expect(values.trail).toEqual(Array.from({ length: count }, () => 'for-acme'))
        }, WAIT)
      }
      await server.client.threads.delete(threadId)
      await expect(server.client.crons.delete(created.cron_id)).rejects.toThrow(/404/)
    })

    test('every option of a run is one of the cron', async () => {
      const { cron_id: cronId } = await create({
        input: { trail: ['given'] },
        config: { tags: ['nightly'], recursion_limit: 7, configurable: { tenant: 'acme' } },
        context: { tone: 'calm' },
        webhook: 'https://example.com/told',
        interruptBefore: ['for-acme'],
        interruptAfter: '*',
        multitaskStrategy: 'interrupt',
        durability: 'exit',
        streamMode: ['updates', 'custom'],
        streamSubgraphs: true,
        streamResumable: true,
        onRunCompleted: 'keep',
      })
      await server.pass(server.client, cronId)
      const [run] = await runsOf(server.client, cronId, 1)
      expect(run).toMatchObject({
        multitask_strategy: 'interrupt',
        kwargs: {
          input: { trail: ['given'] },
          config: { tags: ['nightly'], recursion_limit: 7, configurable: { tenant: 'acme' } },
          context: { tone: 'calm' },
          webhook: 'https://example.com/told',
          interrupt_before: ['for-acme'],
          interrupt_after: '*',
          durability: 'exit',
          stream_mode: ['updates', 'custom'],
          stream_subgraphs: true,
          stream_resumable: true,
        },
      })
      const { status } = await server.client.threads.get(run?.thread_id ?? '')
      expect(status).toBe('interrupted')
      await server.client.crons.delete(cronId)
    })

    test('a change counts from the next run on; metadata is merged, null takes away', async () => {
      server.turnTo('2027-11-21T12:00:00Z')
      const { cron_id: cronId } = await create({
        input: { trail: ['old'] },
        context: { tone: 'calm' },
        metadata: { a: 1, b: 1 },
        endTime: '2028-01-01T00:00:00Z',
      })
      const changed = await server.client.crons.update(cronId, {
        schedule: '30 7 * * *',
        timezone: 'Asia/Kathmandu',
        input: { trail: ['new'] },
        metadata: { b: 2 },
        config: { configurable: { tenant: 'acme' } },
        webhook: 'https://example.com/told',
        interruptBefore: '*',
        onRunCompleted: 'keep',
        streamMode: 'updates',
        durability: 'async',
        endTime: null,
      })
      expect(changed).toMatchObject({
        schedule: '30 7 * * *',
        timezone: 'Asia/Kathmandu',
        end_time: null,
        on_run_completed: 'keep',
        next_run_date: '2027-11-22T01:45:00.000Z',
        metadata: { a: 1, b: 2 },
        payload: {
          input: { trail: ['new'] },
          context: { tone: 'calm' },
          config: { configurable: { tenant: 'acme' } },
          webhook: 'https://example.com/told',
          interrupt_before: '*',
          stream_mode: 'updates',
          durability: 'async',
        },
      })
      expect(Date.parse(changed.updated_at)).toBeGreaterThan(Date.parse(changed.created_at))
      const less = { webhook: null, interrupt_before: null, timezone: null }
      const plain = await server.http('PATCH', `/runs/crons/${cronId}`, less)
      expect(plain.json()).toMatchObject({ timezone: null, next_run_date: '2027-11-22T07:30:00.000Z' })
      expect(Object.keys(plain.json<Cron>().payload).toSorted()).toEqual([
        'config',
        'context',
        'durability',
        'input',
        'stream_mode',
      ])
      await server.pass(server.client, cronId)
      expect((await runsOf(server.client, cronId, 1))[0]?.metadata).toMatchObject({ a: 1, b: 2 })
      await server.client.crons.delete(cronId)
    })

    test('a disabled cron is never due; enabled again it makes nothing up', async () => {
      server.turnTo('2027-11-21T12:00:00Z')
      const { cron_id: cronId } = await create({ enabled: false, onRunCompleted: 'keep' })
      expect(await get(server.client, cronId)).toMatchObject({ enabled: false, next_run_date: null })
      server.turnTo('2027-11-23T12:00:00Z')
      const enabled = await server.client.crons.update(cronId, { enabled: true })
      expect(enabled).toMatchObject({ enabled: true, next_run_date: '2027-11-24T09:00:00.000Z' })
      await server.pass(server.client, cronId)
      await runsOf(server.client, cronId, 1)
      const disabled = await server.client.crons.update(cronId, { enabled: false })
      expect(disabled).toMatchObject({ enabled: false, next_run_date: null })
      await server.client.crons.delete(cronId)
    })

    test('after its end it stays, and is due no more', async () => {
      server.turnTo('2027-11-21T12:00:00Z')
      const { cron_id: cronId, next_run_date: next } = await create({
        endTime: '2027-11-22T09:00:00Z',
        onRunCompleted: 'keep',
      })
      expect(next).toBe('2027-11-22T09:00:00.000Z')
      await server.pass(server.client, cronId)
      await runsOf(server.client, cronId, 1)
      expect(await get(server.client, cronId)).toMatchObject({ enabled: true, next_run_date: null })
      const longer = await server.client.crons.update(cronId, { endTime: '2027-12-01T00:00:00' })
      expect(longer).toMatchObject({
        end_time: '2027-12-01T00:00:00.000Z',
        next_run_date: '2027-11-23T09:00:00.000Z',
      })
      await server.client.crons.delete(cronId)
    })

    test.each([
      ['2026-03-28T12:00:00Z', '30 2 * * *', ['2026-03-29T01:00:00.000Z', '2026-03-30T00:30:00.000Z']],
      ['2026-10-24T12:00:00Z', '30 2 * * *', ['2026-10-25T00:30:00.000Z', '2026-10-26T01:30:00.000Z']],
      ['2026-10-25T00:10:00Z', '30 * * * *', ['2026-10-25T00:30:00.000Z', '2026-10-25T01:30:00.000Z']],
    ])('where the clock is changed after %s, "%s" is due once for each time', async (from, schedule, due) => {
      server.turnTo(from)
      const { cron_id: cronId } = await create({
        schedule,
        timezone: 'Europe/Stockholm',
        onRunCompleted: 'keep',
      })
      for (const [index, time] of due.entries()) {
        expect((await get(server.client, cronId)).next_run_date).toBe(time)
        await server.pass(server.client, cronId)
        await runsOf(server.client, cronId, index + 1)
      }
      await server.client.crons.delete(cronId)
    })

    test('a run that is refused is not started later, is told, and keeps no other cron waiting', async () => {
      const { thread_id: threadId } = await server.client.threads.create()
      const held = await server.client.runs.create(threadId, 'configured', { afterSeconds: 3_600 })
      const busy = await server.client.crons.createForThread(threadId, 'configured', {
        ...daily,
        multitaskStrategy: 'reject',
      })
      const free = await create({ onRunCompleted: 'keep' })
      await server.pass(server.client, busy.cron_id)
      await runsOf(server.client, free.cron_id, 1)
      const missed = await vi.waitFor(async () => {
        const cron = await get(server.client, busy.cron_id)
        expect(cron.last_error).toMatchObject({ due: busy.next_run_date, error: 'thread_busy' })
        return cron
      }, WAIT)
      expect(Date.parse(missed.next_run_date ?? '')).toBeGreaterThan(server.now().getTime())
      await vi.waitFor(() => {
        const told = server.logLines.filter((line) => line.includes('its next time counts'))
        expect(told.join()).toContain(busy.cron_id)
      }, WAIT)
      expect((await server.client.runs.list(threadId)).map(({ run_id: id }) => id)).toEqual([held.run_id])
      for (const { cron_id: id } of [busy, free]) await server.client.crons.delete(id)
    })

    test('crons are found by what they are, sorted, in pages and in part', async () => {
      const mark = newId()
      const { thread_id: threadId } = await server.client.threads.create()
      const one = await server.client.crons.createForThread(threadId, 'steps', {
        schedule: '0 3 1 1 *',
        metadata: { mark, n: 1 },
      })
      const two = await create({ schedule: '0 2 1 1 *', metadata: { mark, n: 2 } })
      const three = await create({ schedule: '0 1 1 1 *', metadata: { mark, n: 3 }, enabled: false })
      const assistantId = one.assistant_id
      const search = async (query: object = {}) => {
        const found = await server.client.crons.search({ metadata: { mark }, ...query })
        return found.map(({ metadata }) => metadata['n'])
      }
      expect(await search()).toEqual([3, 2, 1])
      expect(await search({ sortBy: 'next_run_date', sortOrder: 'asc' })).toEqual([2, 1, 3])
      for (const sortBy of ['cron_id', 'assistant_id', 'thread_id', 'updated_at'])
        expect(await search({ sortBy })).toHaveLength(3)
      expect(await search({ threadId })).toEqual([1])
      expect(await search({ assistantId })).toEqual([1])
      expect(await search({ assistantId: 'steps' })).toEqual([1])
      expect(await search({ enabled: false })).toEqual([3])
      expect(await search({ metadata: { mark, n: 2 } })).toEqual([2])
      expect(await search({ limit: 1, offset: 1 })).toEqual([2])
      expect(await server.client.crons.count({ metadata: { mark } })).toBe(3)
      expect(await server.client.crons.count({ metadata: { mark }, threadId })).toBe(1)
      expect(await server.client.crons.count({ metadata: { mark }, assistantId })).toBe(1)

      const page = await server.http('POST', '/runs/crons/search', { metadata: { mark }, limit: 2 })
      expect(page.headers.get('x-pagination-total')).toBe('3')
      expect(page.headers.get('x-pagination-next')).toBe('2')
      const [part] = await server.client.crons.search({
        metadata: { mark, n: 1 },
        select: ['cron_id', 'schedule', 'now'],
      })
      expect(part).toEqual({ cron_id: one.cron_id, schedule: '0 3 1 1 *', now: expect.any(String) })
      for (const { cron_id: id } of [one, two, three]) await server.client.crons.delete(id)
      expect(await search()).toEqual([])
    })

    test.each([
      ['no schedule', { schedule: undefined }, /schedule/],
      ['six fields', { schedule: '0 * * * * *' }, /five fields/],
      ['a nickname', { schedule: '@daily' }, /five fields/],
      ['a day that never comes', { schedule: '0 0 31 2 *' }, /never comes/],
      ['a zone that is none', { timezone: 'Mars/Phobos' }, /IANA/],
      ['an offset for a zone', { timezone: '+01:00' }, /IANA/],
      ['an end that is no time', { end_time: 'tomorrow' }, /end_time/],
      ['the 31st of June', { end_time: '2030-06-31T00:00:00Z' }, /end_time/],
      ['an end that is over', { end_time: '2020-01-01T00:00:00Z' }, /over already/],
      ['an end before the first time', { schedule: '0 0 1 1 *', end_time: '2027-11-30T00:00:00Z' }, /before/],
      ['another rule for threads', { on_run_completed: 'burn' }, /on_run_completed/],
      ['another strategy', { multitask_strategy: 'wait' }, /multitask_strategy/],
      ['a webhook to a path of nobody', { webhook: '/told' }, /http\.app/],
      ['a schedule as long as a book', { schedule: `${'1,'.repeat(200)}1 * * * *` }, /200/],
      ['NUL in the zone', { timezone: 'UTC\u0000' }, /NUL|IANA/],
    ])('%s is 422', async (_name, more, message) => {
      server.turnTo('2027-11-21T12:00:00Z')
      const body = { assistant_id: 'configured', ...daily, ...more }
      const { cron_id: cronId } = await create()
      const answers = [await server.http('POST', '/runs/crons', body)]
      if (body.schedule !== undefined) answers.push(await server.http('PATCH', `/runs/crons/${cronId}`, more))
      for (const answer of answers) {
        expect([answer.status, answer.text]).toEqual([422, expect.stringMatching(message)])
      }
      await server.client.crons.delete(cronId)
    })

    test('what is not there is 404', async () => {
      await expect(server.client.crons.create('nobody', daily)).rejects.toThrow(
        'HTTP 404: Assistant not found',
      )
      await expect(server.client.crons.create(newId(), daily)).rejects.toThrow(/404/)
      await expect(server.client.crons.createForThread(newId(), 'configured', daily)).rejects.toThrow(
        /404.*Thread/,
      )
      await expect(server.client.crons.update(newId(), {})).rejects.toThrow(/404.*Cron/)
      await expect(server.client.crons.delete(newId())).rejects.toThrow(/404.*Cron/)
      expect((await server.http('GET', `/runs/crons/${newId()}`)).status).toBe(404)
      expect((await server.http('GET', '/runs/crons/no-uuid')).status).toBe(422)
    })
  })
})
