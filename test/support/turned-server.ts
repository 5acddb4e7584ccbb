import type { Client, Cron } from '@langchain/langgraph-sdk'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import type { EachDatabase } from './each-database.ts'
import { startTestServer, type TestServer } from './server.ts'
import { httpOn, WAIT } from './stage.ts'

/** A server whose clock is turned, so that nobody waits for a minute to come. */
export function useTurnedServer(database: EachDatabase, project: string) {
  let server: TestServer | undefined
  let ahead = 0
  const now = () => new Date(Date.now() + ahead)
  beforeAll(async () => {
    server = await startTestServer({ ...database.place, env: { HOLDPOINT_CONFIG: project }, now })
  })
  afterAll(() => server?.close())
  const up = () => {
    if (server === undefined) throw new Error('The server is up from beforeAll on.')
    return server
  }
  return {
    get client() {
      return up().client
    },
    get url() {
      return up().url
    },
    get logLines() {
      return up().logLines
    },
    http: (...request: Parameters<ReturnType<typeof httpOn>>) => httpOn(up().url)(...request),
    now,
    turnTo(time: string | number) {
      ahead = new Date(time).getTime() - Date.now()
    },
    /** Turns the clock to the cron's next time, and lets the scheduler know. */
    async pass(client: Client, cronId: string) {
      const [cron] = (await client.crons.search({ limit: 1_000 })).filter(({ cron_id: id }) => id === cronId)
      ahead = Date.parse(cron?.next_run_date ?? '') - Date.now()
      await client.crons.update(cronId, {})
    },
  }
}

/** The runs of the cron, once there are that many, and all have ended. */
export async function runsOf(client: Client, cronId: string, count: number) {
  return await vi.waitFor(async () => {
    const threads = await client.threads.search({ metadata: { cron_id: cronId } })
    const runs = (await Promise.all(threads.map(({ thread_id: id }) => client.runs.list(id)))).flat()
    expect(runs).toHaveLength(count)
    for (const { status } of runs) expect(['pending', 'running']).not.toContain(status)
    return runs
  }, WAIT)
}

export async function get(client: Client, cronId: string): Promise<Cron & { last_error: object | null }> {
  const found = (await client.crons.search({ limit: 1_000 })).find(({ cron_id: id }) => id === cronId)
  if (found === undefined) throw new Error(`There is no cron ${cronId}.`)
  return found as Cron & { last_error: object | null }
}
