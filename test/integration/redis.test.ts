import { afterEach, describe, expect, inject, test } from 'vitest'
import { loadConfig } from '../../server/config.ts'
import { onPostgres } from '../support/each-database.ts'
import { startScriptedModel } from '../support/scripted-model.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { says } from '../support/stage.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

onPostgres((database) => {
  describe.skipIf(inject('services').redis === null)('with Redis', () => {
    test('a run is followed at a door that executes nothing, to the same events as where it runs', async () => {
      const words = Array.from({ length: 40 }, (_, n) => `word${n}`).join(' ')
      const model = await startScriptedModel([{ delayMs: 300, content: words }])
      closers.push(model.close)
      const REDIS_URL = inject('services').redis ?? ''
      const worker = await start({ ...database.place, modelUrl: model.url, env: { REDIS_URL } })
      const door = await start({ ...database.place, env: { REDIS_URL, HOLDPOINT_WORKERS: '0' } })

      const { thread_id: threadId } = await door.client.threads.create()
      const { run_id: runId } = await door.client.runs.create(threadId, 'react', {
        input: says('Talk.'),
        streamMode: ['messages-tuple', 'values'],
      })
      const [there, here] = await Promise.all([
        follow(door, threadId, runId),
        follow(worker, threadId, runId),
      ])
      expect(there.length).toBeGreaterThan(2)
      expect(there.map(({ id }) => id)).toEqual(there.map((_, index) => String(index)))
      expect(there).toEqual(here)
      expect(await follow(door, threadId, runId)).toEqual(here)
      expect(await follow(door, threadId, runId, '1')).toEqual(here.slice(2))
    })
  })

  test('a server whose Redis is away starts, says so, and runs', async () => {
    const model = await startScriptedModel([{ content: 'Hello.' }])
    closers.push(model.close)
    // Nothing listens on the discard port.
    const env = { REDIS_URL: 'redis://:secret@127.0.0.1:9' }
    const server = await start({ ...database.place, modelUrl: model.url, env })
    const { thread_id: threadId } = await server.client.threads.create()
    const values = await server.client.runs.wait(threadId, 'react', { input: says('Hi.') })
    expect(values).toMatchObject({ end_reason: 'completed' })
    const told = server.logLines.filter((line) => line.includes('Redis at 127.0.0.1:9 does not answer'))
    expect(told).toHaveLength(1)
    expect(server.logLines.join()).not.toContain('secret')
  })
})

test('REDIS_URL has to be the address of a Redis', () => {
  expect(loadConfig({}).redisUrl).toBeUndefined()
  expect(loadConfig({ REDIS_URL: 'rediss://cache.example:6380/1' }).redisUrl).toBe(
    'rediss://cache.example:6380/1',
  )
  expect(() => loadConfig({ REDIS_URL: 'http://127.0.0.1:6379' })).toThrow(
    'REDIS_URL: must begin with redis:// or rediss://',
  )
  expect(() => loadConfig({ REDIS_URL: 'redis://:no port' })).toThrow('REDIS_URL: must be a URL')
})

async function start(options: Parameters<typeof startTestServer>[0]): Promise<TestServer> {
  const server = await startTestServer(options)
  closers.push(server.close)
  return server
}

async function follow({ client }: TestServer, threadId: string, runId: string, lastEventId?: string) {
  const from = lastEventId === undefined ? {} : { lastEventId }
  const seen: { id: string | undefined; event: string; data: unknown }[] = []
  for await (const part of client.runs.joinStream(threadId, runId, from)) {
    seen.push({ id: part.id, event: part.event, data: part.data })
  }
  return seen
}
