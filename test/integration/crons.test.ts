import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Client } from '@langchain/langgraph-sdk'
import { afterEach, expect, test, vi } from 'vitest'
import { onEachDatabase, onEmbedded, onPostgres, type Place } from '../support/each-database.ts'
import { type ServerProcess, spawnServer } from '../support/server.ts'
import { openDatabase } from '../support/storage.ts'

// Each starts processes, which wait for their turn on a machine that other tests share.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const PROJECT = new URL('../support/states/langgraph.json', import.meta.url).pathname
const WAIT = { timeout: 60_000, interval: 50 }

const COUNT_RUNS = `select count(*)::integer as n from runs where metadata ->> 'cron_id' = any ($1)`

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function spawn(place: Place, env: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await spawnServer({
    ...place,
    env: { HOLDPOINT_CONFIG: PROJECT, HOLDPOINT_LEASE_MS: '1000', ...env },
  })
  closers.push(server.kill)
  return server
}

/** Due on the first of January: only these tests make it due earlier. Every second one is on a thread. */
async function createCrons(client: Client, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let n = 0; n < count; n++) {
    const cron = { schedule: '0 0 1 1 *', input: { trail: [] }, onRunCompleted: 'keep' as const }
    const created =
      n % 2 === 0
        ? await client.crons.create('configured', cron)
        : await client.crons.createForThread((await client.threads.create()).thread_id, 'configured', cron)
    ids.push(created.cron_id)
  }
  return ids
}

/** Makes them due in so many milliseconds, by the database's clock, and tells the servers as a change would. */
async function makeDue(place: Place, ids: string[], inMs: number): Promise<void> {
  const db = await openDatabase(place)
  await db.query(
    `update crons set next_run_date = clock_timestamp() + make_interval(secs => $2::double precision / 1000)
     where cron_id = any ($1)`,
    [ids, inMs],
  )
  await db.query(`select pg_notify('holdpoint', 'crons')`)
  await db.close()
}

interface Started {
  status: string
  created_at: string
}

/** The runs of each cron, read at the door. */
async function runsOf(client: Client, ids: string[]): Promise<Started[][]> {
  const runs: Started[][] = []
  for (const cronId of ids) {
    const [cron] = (await client.crons.search({ limit: 1_000 })).filter(({ cron_id: id }) => id === cronId)
    const threads =
      cron?.thread_id == null
        ? (await client.threads.search({ metadata: { cron_id: cronId } })).map(({ thread_id: id }) => id)
        : [cron.thread_id]
    runs.push((await Promise.all(threads.map((id) => client.runs.list(id)))).flat())
  }
  return runs
}

/** Waits until each has had so many, and all have ended well: none was lost, and none came twice. */
async function untilEachHas(client: Client, ids: string[], count: number): Promise<void> {
  await vi.waitFor(async () => {
    const runs = await runsOf(client, ids)
    expect(runs.map((list) => list.map(({ status }) => status))).toEqual(
      ids.map(() => Array.from({ length: count }, () => 'success')),
    )
  }, WAIT)
  // All have moved on, so nothing is left that could be started once more.
  for (const { next_run_date: next } of await client.crons.search({ limit: 1_000 }))
    expect(next).toMatch(/-01-01T00:00:00.000Z$/)
}

/** Starts a server that dies at that failpoint, and waits until it has: maybe before it listened. */
async function die(place: Place, failpoint: string): Promise<void> {
  const env = { HOLDPOINT_TEST_MODE: '1', HOLDPOINT_FAILPOINTS: `${failpoint}=kill` }
  try {
    const server = await spawn(place, env)
    await vi.waitFor(() => expect(server.process.signalCode).toBe('SIGKILL'), WAIT)
  } catch (error) {
    if (!(error instanceof Error && /before it listened|did not say where it listens/.test(error.message)))
      throw error
  }
}

onEachDatabase((database) => {
  test.each([
    ['run.create:before', 'with the run not yet there'],
    ['run.create:after', 'with the run just there'],
  ])('a server that dies at %s, %s, leaves one run to the next', async (failpoint) => {
    const first = await spawn(database.place)
    const ids = await createCrons(first.client, 2)
    expect(await first.stop()).toBe(0)
    // Missed while nobody was there: an hour of it is one run.
    await makeDue(database.place, ids, -3_600_000)
    await die(database.place, failpoint)

    const db = await openDatabase(database.place)
    const { rows } = await db.query<{ n: number }>(COUNT_RUNS, [ids])
    await db.close()
    expect(rows[0]?.n).toBe(failpoint === 'run.create:before' ? 0 : 1)

    const second = await spawn(database.place)
    await untilEachHas(second.client, ids, 1)
    for (const id of ids) await second.client.crons.delete(id)
    expect(await second.stop()).toBe(0)
  })
})

onPostgres((database) => {
  test('three servers that find the same times due start each of them once, and when it comes', async () => {
    const servers = [await spawn(database.place), await spawn(database.place), await spawn(database.place)]
    const [{ client }] = servers as [ServerProcess]
    const ids = await createCrons(client, 30)
    for (let round = 1; round <= 3; round++) {
      await makeDue(database.place, ids, 1_000)
      const due = Date.now() + 1_000
      await untilEachHas(client, ids, round)
      const late = (await runsOf(client, ids)).map((list) => Date.parse(list[0]?.created_at ?? '') - due)
      // They looked when it was due, and not when half a minute was over.
      expect(Math.min(...late)).toBeGreaterThan(-1_000)
      expect(Math.max(...late)).toBeLessThan(15_000)
    }
    for (const id of ids) await client.crons.delete(id)
  })

  test('a server that is killed in the middle of many due times leaves the rest to another, each once', async () => {
    const survivor = await spawn(database.place)
    const ids = await createCrons(survivor.client, 20)
    const db = await openDatabase(database.place)
    closers.push(db.close)
    const started = async () => {
      const { rows } = await db.query<{ n: number }>(COUNT_RUNS, [ids])
      return rows[0]?.n
    }
    for (let round = 1; round <= 3; round++) {
      const doomed = await spawn(database.place)
      await makeDue(database.place, ids, 100)
      await vi.waitFor(async () => expect(await started()).toBeGreaterThan((round - 1) * ids.length), {
        timeout: 30_000,
        interval: 1,
      })
      await doomed.kill()
      await untilEachHas(survivor.client, ids, round)
    }
    for (const id of ids) await survivor.client.crons.delete(id)
  })

  test('what is changed at a door without workers is started by the server that has them', async () => {
    const door = await spawn(database.place, { HOLDPOINT_WORKERS: '0' })
    const [id = ''] = await createCrons(door.client, 1)
    const worker = await spawn(database.place)
    // It knows of nothing to do before January, and asks again in half a minute.
    const db = await openDatabase(database.place)
    await db.query('update crons set next_run_date = clock_timestamp() where cron_id = $1', [id])
    await db.close()
    const changed = performance.now()
    await door.client.crons.update(id, { metadata: { changed: true } })
    await untilEachHas(worker.client, [id], 1)
    expect(performance.now() - changed).toBeLessThan(20_000)
  })
})

onEmbedded((database) => {
  test('every command of docs/crons.md works', async () => {
    const server = await spawnServer(database.place)
    closers.push(server.kill)
    const { thread_id: THREAD_ID } = await server.client.threads.create()
    const { cron_id: CRON_ID } = await server.client.crons.create('react', { schedule: '0 0 1 1 *' })
    const page = await readFile(new URL('../../docs/crons.md', import.meta.url), 'utf8')
    const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block)
    const commands = blocks.join('').replaceAll('http://127.0.0.1:2024', server.url)
    const script = `set -e; curl() { command curl -sS --fail-with-body -w '\\n' "$@"; }\n${commands}`
    const { stdout } = await promisify(execFile)('sh', ['-c', script], {
      env: { ...process.env, THREAD_ID, CRON_ID },
    })
    const answers = stdout.split('\n').filter(Boolean)
    // A deletion answers nothing.
    expect(answers.length).toBe((commands.match(/^curl/gm) ?? []).length - 1)
    expect(JSON.parse(answers[0] ?? '')).toMatchObject({ timezone: 'Europe/Stockholm', enabled: true })
    expect(JSON.parse(answers.at(-1) ?? '')).toMatchObject({ cron_id: CRON_ID, enabled: false })
    expect(await server.client.crons.count()).toBe(2)
  })
})
