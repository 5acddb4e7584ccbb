import { createClient } from '@redis/client'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Log } from '../../../runtime/ports.ts'
import type { Storage } from '../../../storage/open.ts'
import { cloneDatabase, templateDatabase } from '../../support/database.ts'
import { onEmbedded, onPostgres } from '../../support/each-database.ts'
import { hasRedisServer, type RedisProcess, startRedis } from '../../support/redis.ts'
import { migrateDatabase, TEST_SECRET } from '../../support/server.ts'
import { openAt, SILENT, twoProcesses } from './ways.ts'
import { beginRun, readAll } from './written-run.ts'

const RUN = '00000000-0000-7000-8000-000000000001'
const EVENTS = [{ event: 'custom', data: '{"n":1}' }]
const WAIT = { timeout: 10_000, interval: 10 }

describe.skipIf(!hasRedisServer())('with a Redis of its own', () => {
  let redis: RedisProcess
  const open: { close(): Promise<void> | void }[] = []
  const opened = <T extends { close(): Promise<void> | void }>(one: T): T => {
    open.push(one)
    return one
  }
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close()
    await redis.start()
  })
  afterAll(() => redis.kill())

  const client = async () => opened(await createClient({ url: redis.url }).connect())

  onPostgres((database) => {
    const both = async (log: Log = SILENT) => {
      const pair = await twoProcesses(database.place, { url: redis.url, log })
      return { writer: opened(pair.writer), reader: opened(pair.reader) }
    }

    test('readers lose, repeat and reorder nothing when Redis dies and comes back in the middle', async () => {
      const { log, lines } = recorded()
      const { writer, reader } = await both(log)
      const run = await beginRun(writer)
      const early = [readAll(reader, run), readAll(reader, run), readAll(writer, run)]
      await run.write(50, { pauseMs: 2 })
      await redis.kill()
      await run.write(50, { pauseMs: 2 })
      const during = readAll(reader, run, { after: 30 })
      await vi.waitFor(() => expect(lines.warn).toHaveLength(2), WAIT)
      await redis.start()
      await run.write(50, { pauseMs: 2 })
      await vi.waitFor(() => expect(lines.info).toHaveLength(2), WAIT)
      const after = readAll(reader, run)
      await run.write(50, { pauseMs: 2 })
      await run.end()

      for (const seen of await Promise.all(early)) expect(seen).toEqual(run.visible)
      expect(await during).toEqual(run.visible.slice(31))
      expect(await after).toEqual(run.visible)
      // One line for each process and outage.
      expect(lines.warn).toHaveLength(2)
      expect(lines.info).toHaveLength(2)
    })

    test('events come live again after Redis was away', async () => {
      const { log, lines } = recorded()
      const { writer, reader } = await both(log)
      await redis.kill()
      await vi.waitFor(() => expect(lines.warn).toHaveLength(2), WAIT)
      writer.live.publish(RUN, 0, EVENTS)
      await redis.start()
      await vi.waitFor(() => expect(lines.info).toHaveLength(2), WAIT)
      // What was committed meanwhile is in the table, and nobody waits for it here.
      expect(await (await client()).keys('*')).toEqual([])
      expect(await arrives(writer, reader)).toBe(true)
    })

    test('without Redis at the start everything works, and one line says what to expect', async () => {
      await redis.kill()
      const { log, lines } = recorded()
      const writer = opened(await openAt(database.place, { url: redis.url, log }))
      expect(lines.warn).toEqual([
        expect.stringMatching(
          /^Redis at 127\.0\.0\.1:\d+ does not answer; events go through PostgreSQL alone until it does .*ECONNREFUSED/,
        ),
      ])
      const run = await beginRun(writer)
      const seen = readAll(writer, run)
      await run.write(10, { pauseMs: 5 })
      await run.end()
      expect(await seen).toEqual(run.visible)

      await redis.start()
      await vi.waitFor(() => expect(lines.info).toHaveLength(1), WAIT)
      const other = opened(await openAt(database.place, { url: redis.url, log }))
      expect(await arrives(writer, other)).toBe(true)
    })

    test('a Redis that hangs holds nobody up', async () => {
      const { writer, reader } = await both()
      const run = await beginRun(writer)
      const seen = readAll(reader, run)
      await run.write(5, { pauseMs: 5 })
      redis.process.kill('SIGSTOP')
      try {
        const started = performance.now()
        // More than may be under way to it.
        await run.write(60, { size: 200_000 })
        await run.end()
        expect(await seen).toEqual(run.visible)
        expect(performance.now() - started).toBeLessThan(10_000)
        for (const one of open.splice(0)) await one.close()
      } finally {
        redis.process.kill('SIGCONT')
      }
    })

    test('a Redis that hangs is sent no more than a bounded amount', async () => {
      const { writer } = await both()
      expect(await arrives(writer, writer)).toBe(true)
      redis.process.kill('SIGSTOP')
      const events = [{ event: 'values', data: `"${'x'.repeat(250_000)}"` }]
      for (let from = 0; from < 100; from++) writer.live.publish(RUN, from, events)
      redis.process.kill('SIGCONT')
      const redisClient = await client()
      const [stream = ''] = await redisClient.keys('holdpoint:events:*')
      const lengths: number[] = []
      await vi.waitFor(async () => {
        lengths.push(await redisClient.xLen(stream))
        expect(lengths.at(-1)).toBeGreaterThan(20)
        expect(lengths.at(-1)).toBe(lengths.at(-2))
      }, WAIT)
      expect(lengths.at(-1)).toBeLessThan(90)
    })

    test('a database and its clone do not hear each other', async () => {
      const { writer, reader } = await both()
      const clone = await cloneDatabase(await templateDatabase(migrateDatabase), 'clone')
      try {
        const place = { databaseUrl: clone.url, secret: TEST_SECRET, dataDir: '' }
        const stranger = opened(await openAt(place, { url: redis.url, log: SILENT }))
        const strange = stranger.live.subscribe(RUN)
        expect(await arrives(writer, reader)).toBe(true)
        expect(await next(strange, 200)).toBeUndefined()
        for (const one of open.splice(0)) await one.close()
      } finally {
        await clone.drop()
      }
    })

    test("a process takes its own batches once, and another's once", async () => {
      const { writer, reader } = await both()
      const [own, others] = [writer.live.subscribe(RUN), reader.live.subscribe(RUN)]
      writer.live.publish(RUN, 0, EVENTS)
      const batch = { kind: 'batch', from: 0, events: EVENTS }
      expect(await next(own)).toEqual(batch)
      expect(await next(others)).toEqual(batch)
      expect(await next(own, 200)).toBeUndefined()
      expect(await next(others, 1)).toBeUndefined()
    })

    test('a large batch is announced without its events', async () => {
      const { writer, reader } = await both()
      const others = reader.live.subscribe(RUN)
      writer.live.publish(RUN, 7, [...EVENTS, { event: 'values', data: `"${'x'.repeat(300_000)}"` }])
      expect(await next(others)).toEqual({ kind: 'committed', through: 8 })
    })

    test('entries that make no sense are left to the table', async () => {
      const { writer, reader } = await both()
      expect(await arrives(writer, reader)).toBe(true)
      const redisClient = await client()
      const [stream = ''] = await redisClient.keys('holdpoint:events:*')
      expect(await redisClient.ttl(stream)).toBeGreaterThan(0)
      const others = reader.live.subscribe(RUN)
      const entry = { sender: 'somebody', run: RUN, from: '3', through: '3' }
      await redisClient.xAdd(stream, '*', { hello: 'world' })
      await redisClient.xAdd(stream, '*', { ...entry, from: '-1' })
      await redisClient.xAdd(stream, '*', { ...entry, events: '[{"event":1}]' })
      await redisClient.xAdd(stream, '*', { ...entry, through: '4', events: '[{' })
      const last = await vi.waitFor(async () => {
        const news = await next(others, 50)
        expect(news).toBeDefined()
        return news
      }, WAIT)
      expect(last).toMatchObject({ kind: 'committed' })
      expect(await arrives(writer, reader)).toBe(true)
    })
  })

  onEmbedded((database) => {
    test('the embedded database needs no Redis, and says so', async () => {
      const { log, lines } = recorded()
      const storage = opened(await openAt(database.place, { url: redis.url, log }))
      expect(storage.fanOut).toBe('this process')
      expect(lines.warn).toEqual([expect.stringMatching(/^REDIS_URL is not used/)])
    })
  })
})

/** Whether a batch that one process publishes comes to a reader of another, past the database. */
async function arrives({ live }: Storage, other: Storage): Promise<boolean> {
  const reader = other.live.subscribe(RUN)
  for (let tries = 0; tries < 20; tries++) {
    live.publish(RUN, 0, EVENTS)
    const news = await next(reader, 200)
    if (news?.kind === 'batch') {
      reader.close()
      return true
    }
  }
  return false
}

function next(reader: ReturnType<Storage['live']['subscribe']>, timeoutMs = 5_000) {
  return reader.next({ timeoutMs, signal: new AbortController().signal })
}

function recorded(): { log: Log; lines: { info: string[]; warn: string[] } } {
  const lines: { info: string[]; warn: string[] } = { info: [], warn: [] }
  const line = (message: string, fields?: Record<string, unknown>) =>
    [message, ...Object.values(fields ?? {})].map(String).join(' ')
  return {
    lines,
    log: {
      info: (...said) => void lines.info.push(line(...said)),
      warn: (...said) => void lines.warn.push(line(...said)),
      error: (...said) => void lines.warn.push(line(...said)),
    },
  }
}
