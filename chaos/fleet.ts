import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Failpoint } from '../runtime/failpoint.ts'
import { startProxy, type Proxy } from './proxy.ts'
import type { Random } from './random.ts'
import { endProcess, NotStarted, type ServerProcess, startServerProcess } from './server-process.ts'
import { createTally, type Tally } from './tally.ts'
import type { Watcher } from './watcher.ts'

/** Of every server: what they record is verified with it. */
export const SECRET = 'chaos-chaos-chaos-chaos-chaos-chaos'
const STARTS_WITHIN_MS = 90_000
const STOPS_WITHIN_MS = 20_000

export interface Place {
  /** Of its own; removed or kept as a whole. */
  directory: string
  dataDir: string
  modelUrl: string
  leaseMs: number
  workers: number
  redisUrl: string | undefined
}

/** Where one server runs at a time. */
export interface Slot {
  index: number
  proxy: Proxy | undefined
  server: ServerProcess | undefined
  /** By its worker's row. */
  workerId: string | undefined
  /** A fault has it to itself. */
  taken: boolean
  /** It is being ended on purpose. */
  expectsEnd: boolean
  frozen: boolean
}

export interface Fleet {
  slots: Slot[]
  tally: Tally
  /** A server that should answer. Waits for one. */
  url(random: Random): Promise<string>
  start(slot: Slot, options?: { failpoint?: string; clockJumps?: boolean }): Promise<void>
  /** Kills or stops the slot's server. True where it was executing a run when it was killed. */
  end(slot: Slot, signal: 'SIGKILL' | 'SIGTERM'): Promise<boolean>
  /** Waits until the server has died at the failpoint that it was started with. False where it did not get there. */
  diedAt(slot: Slot, failpoint: Failpoint, withinMs: number): Promise<boolean>
  freeze(slot: Slot, ms: number): Promise<void>
  /** Whether nothing of an execution that was given up can still happen: no process is frozen, or was a moment ago. */
  isQuiet(): boolean
  close(): Promise<void>
}

/** Counts servers that ended though nobody ended them. */
export const CRASHES = 'servers that ended by themselves'

/** What an execution that was frozen may still be doing after it goes on. */
const AFTER_FREEZE_MS = 2_000

export async function createFleet(
  place: Place,
  database: { host: string; port: number; name: string; user: string; password: string } | undefined,
  count: number,
  watcher: Watcher,
): Promise<Fleet> {
  const tally = createTally()
  const slots: Slot[] = []
  for (let index = 0; index < count; index++) {
    const proxy = database && (await startProxy(database))
    slots.push({
      index,
      proxy,
      server: undefined,
      workerId: undefined,
      taken: false,
      expectsEnd: false,
      frozen: false,
    })
  }
  let closing = false
  let thawed = -Infinity
  // One at a time, so that the new worker's row can be told from the others.
  let starting: Promise<void> = Promise.resolve()

  const envOf = ({ proxy }: Slot, failpoint: string | undefined) => ({
    PORT: '0',
    HOLDPOINT_CONFIG: join(import.meta.dirname, 'project/langgraph.json'),
    HOLDPOINT_CHAOS_DIR: place.directory,
    HOLDPOINT_DATA_DIR: place.dataDir,
    HOLDPOINT_LEASE_MS: String(place.leaseMs),
    HOLDPOINT_WORKERS: String(place.workers),
    HOLDPOINT_SECRET: SECRET,
    OPENAI_API_KEY: 'chaos',
    // Servers start all the time: the code need not be compiled each time.
    NODE_COMPILE_CACHE: join(place.directory, 'compiled'),
    ...(place.redisUrl === undefined ? {} : { REDIS_URL: place.redisUrl }),
    OPENAI_BASE_URL: place.modelUrl,
    ...(proxy && database
      ? {
          DATABASE_URL: `postgres://${database.user}:${database.password}@127.0.0.1:${proxy.port}/${database.name}`,
        }
      : {}),
    ...(failpoint === undefined ? {} : { HOLDPOINT_TEST_MODE: '1', HOLDPOINT_FAILPOINTS: failpoint }),
  })

  const startNow: Fleet['start'] = async (slot, { failpoint, clockJumps = false } = {}) => {
    const giveUp = performance.now() + STARTS_WITHIN_MS
    for (;;) {
      if (closing) return
      const before = await watcher.workers()
      try {
        const log = join(place.directory, `server-${slot.index}.log`)
        const server = await startServerProcess({ env: envOf(slot, failpoint), log, clockJumps })
        Object.assign(slot, { server, expectsEnd: failpoint !== undefined, frozen: false })
        slot.workerId = [...(await watcher.workers())].find((id) => !before.has(id))
        tally.add('server starts')
        watch(slot, server)
        return
      } catch (error) {
        if (!(error instanceof NotStarted)) throw error
        // The database may be away, or the failpoint was met before the server could say that it listens.
        if (error.killed && failpoint !== undefined) return
        if (performance.now() > giveUp) throw error
        await sleep(300)
      }
    }
  }

  const watch = (slot: Slot, server: ServerProcess) => {
    void server.ended.then(async ({ at, signal, code }) => {
      if (slot.server === server) slot.server = undefined
      if (closing) return
      if (signal === 'SIGKILL') watcher.died(slot.workerId, at)
      if (slot.expectsEnd && (signal === 'SIGKILL' || code === 0)) return
      tally.add(CRASHES)
      tally.note(
        `server ${slot.index} (pid ${server.pid}) ended by itself with ${signal ?? code}: see server-${slot.index}.log`,
      )
      if (!slot.expectsEnd) await fleet.start(slot)
    })
  }

  const fleet: Fleet = {
    slots,
    tally,
    async url(random) {
      for (;;) {
        const alive = slots.flatMap(({ server }) => (server?.isAlive() === true ? [server.url] : []))
        if (alive.length > 0) return random.pick(alive)
        if (closing) throw new Error('The servers are gone.')
        await sleep(50)
      }
    },
    start(slot, options) {
      const next = starting.then(() => startNow(slot, options))
      starting = next.catch(() => {})
      return next
    },
    async end(slot, signal) {
      const { server } = slot
      if (server === undefined) return false
      slot.expectsEnd = true
      const executing = await watcher.isExecuting(slot.workerId)
      await endProcess(server, signal, STOPS_WITHIN_MS)
      return executing
    },
    async diedAt(slot, failpoint, withinMs) {
      const { server } = slot
      const ended = await Promise.race([
        server?.ended ?? Promise.resolve({ signal: 'SIGKILL' }),
        sleep(withinMs, undefined, { ref: false }),
      ])
      if (ended?.signal === 'SIGKILL') tally.add(`failpoint ${failpoint}`)
      else await fleet.end(slot, 'SIGKILL')
      return ended?.signal === 'SIGKILL'
    },
    async freeze(slot, ms) {
      const { server } = slot
      if (server === undefined) return
      slot.frozen = true
      server.signal('SIGSTOP')
      await sleep(ms)
      server.signal('SIGCONT')
      slot.frozen = false
      thawed = performance.now()
    },
    isQuiet: () => !slots.some(({ frozen }) => frozen) && performance.now() - thawed > AFTER_FREEZE_MS,
    async close() {
      closing = true
      await starting
      const alive = slots.flatMap(({ server }) => (server === undefined ? [] : [server]))
      for (const server of alive) server.signal('SIGCONT')
      await Promise.all(alive.map((server) => endProcess(server, 'SIGTERM', STOPS_WITHIN_MS)))
      await Promise.all(slots.map(async ({ proxy }) => await proxy?.close()))
    },
  }
  return fleet
}
