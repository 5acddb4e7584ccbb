import { afterEach, expect, test, vi } from 'vitest'
import { onPostgres } from '../../support/each-database.ts'
import { spawnServer } from '../../support/server.ts'

/** A graph of a user's whose one node asks twice (langgraph.md, traps 4 and 5). */
const CONFIG = 'test/support/questions/langgraph.json'
const WAIT = { timeout: 30_000, interval: 50 }
/** Three servers are started one after the other. */
vi.setConfig({ testTimeout: 60_000 })
const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

onPostgres((database) => {
  const spawn = async (failpoints = '') => {
    const env = {
      HOLDPOINT_CONFIG: CONFIG,
      HOLDPOINT_LEASE_MS: '1000',
      HOLDPOINT_TEST_MODE: '1',
      ...(failpoints === '' ? {} : { HOLDPOINT_FAILPOINTS: failpoints }),
    }
    const server = await spawnServer({ ...database.place, dataDir: database.place.dataDir, env })
    closers.push(server.kill)
    return server
  }
  type Server = Awaited<ReturnType<typeof spawn>>
  const question = async ({ client }: Server, threadId: string) => {
    const { interrupts } = await client.threads.get(threadId)
    return Object.values(interrupts).flat()[0]?.value
  }
  const asked = async (server: Server) => {
    const { thread_id } = await server.client.threads.create()
    await server.client.runs.wait(thread_id, 'questions', { input: { answers: [] } })
    expect(await question(server, thread_id)).toBe('first?')
    return thread_id
  }

  test('an answer is given to the question that it was sent for, and to no later one of the same task', async () => {
    const server = await spawn()
    const threadId = await asked(server)
    await server.client.runs.wait(threadId, 'questions', { command: { resume: 'one' } })
    expect(await question(server, threadId)).toBe('second?')
    const values = await server.client.runs.wait(threadId, 'questions', { command: { resume: 'two' } })
    expect(values).toMatchObject({ answers: ['one', 'two'] })
  })

  test.for(['checkpoint.writes:before', 'checkpoint.writes:after', 'run.settle:before'])(
    'also when the server dies at %s while the first answer is carried out',
    async (failpoint) => {
      const first = await spawn()
      const threadId = await asked(first)
      await first.kill()
      const second = await spawn(`${failpoint}=kill`)
      const exited = new Promise((resolve) => second.process.once('exit', resolve))
      await second.client.runs.create(threadId, 'questions', { command: { resume: 'one' } })
      await exited
      const third = await spawn()
      await vi.waitFor(async () => expect(await question(third, threadId)).toBe('second?'), WAIT)
      const values = await third.client.runs.wait(threadId, 'questions', { command: { resume: 'two' } })
      expect(values).toMatchObject({ answers: ['one', 'two'] })
    },
  )
})
