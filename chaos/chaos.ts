import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { audit } from './audit.ts'
import type { Line } from './checks/check.ts'
import { checkFaults } from './checks/faults.ts'
import { type ChaosDatabase, openChaosDatabase } from './database.ts'
import { createDoor, type Door, pause } from './door.ts'
import { createFaults } from './faults.ts'
import { createFleet, type Fleet } from './fleet.ts'
import { createLoad } from './load.ts'
import { startScriptedModel } from './model.ts'
import type { ChaosOptions } from './options.ts'
import { createPeople } from './people.ts'
import { planFaults } from './plan.ts'
import { createRandom } from './random.ts'
import { startRedis } from './redis.ts'
import { createReaders } from './readers.ts'
import { createBlindWatcher, createWatcher } from './watcher.ts'

export interface Report {
  ok: boolean
  seed: string
  seconds: number
  lines: Line[]
  /** What is left for a person to look at, where something was violated. */
  kept: string[]
}

/** How long readers may take to their end after everything has ended. */
const READERS_END_WITHIN_MS = 20_000
const SAY_EVERY_MS = 10_000
const WORKERS = 8

/** Lets a load of runs and a schedule of faults go on together, and checks what became of it all. */
export async function chaos(
  options: ChaosOptions,
  { say, signal: stop }: { say: (line: string) => void; signal: AbortSignal },
): Promise<Report> {
  const began = performance.now()
  const random = createRandom(options.seed)
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-chaos-'))
  // PostgreSQL's own user has to reach its folder in it.
  await chmod(directory, 0o711)
  const closers: (() => Promise<unknown> | void)[] = []
  const broken = new AbortController()
  const timeout = AbortSignal.timeout(options.timeoutMs)
  const signal = AbortSignal.any([stop, timeout, broken.signal])
  let keep = true
  try {
    const database = options.embedded ? undefined : await openChaosDatabase(directory, options.databaseUrl)
    if (database) closers.push(() => database.close(keep))
    say(`seed ${options.seed}, ${options.runs} runs, ${database?.description ?? 'the embedded database'}`)
    const redis = database && (await startRedis(directory))
    if (redis) closers.push(() => redis.close())
    const model = await startScriptedModel()
    closers.push(() => model.close())

    const watcher = database
      ? createWatcher(database.url)
      : createBlindWatcher({
          isBusy: () => load.settled() < load.started(),
          starts: () => fleet.tally.count('server starts'),
          heads: () => headsOf(door),
        })
    closers.push(() => watcher.close())
    const place = {
      directory,
      dataDir: join(directory, 'data'),
      modelUrl: model.url,
      leaseMs: options.leaseMs,
      workers: WORKERS,
      redisUrl: redis?.url,
    }
    const fleet = await createFleet(place, database, options.servers, watcher)
    closers.push(() => fleet.close())
    const door = createDoor(fleet, random.fork('door'), signal)
    const shared = {
      door,
      fleet,
      tally: fleet.tally,
      random,
      signal,
      failed: (error: unknown) => broken.abort(error),
    }
    const readers = createReaders(shared)
    const load = createLoad({
      ...shared,
      readers,
      runs: options.runs,
      concurrency: options.concurrency,
      faults: () => faults.progress(),
    })
    const plan = planFaults(random.fork('plan'), options)
    const faults = createFaults({
      ...shared,
      random: random.fork('faults'),
      plan,
      watcher,
      cluster: database?.cluster,
      redis,
      leaseMs: options.leaseMs,
      load: () => load.settled() / options.runs,
      told: options.verbose ? say : () => {},
    })
    await warmUp(fleet)
    for (const slot of fleet.slots) await fleet.start(slot)
    const people = createPeople({ ...shared, readers, directory })
    const telling = setInterval(() => {
      const { tally } = fleet
      say(
        `${load.started()} started, ${load.settled()} threads settled, ${tally.count('kills')} kills, ${Math.floor(faults.progress() * 100)} % of the faults`,
      )
    }, SAY_EVERY_MS)
    closers.push(() => clearInterval(telling))

    let ended = 'yes'
    const working = people.work().catch((error: unknown) => broken.abort(error))
    try {
      await Promise.all([load.run(), faults.run()])
      const giveUp = performance.now() + READERS_END_WITHIN_MS
      while (readers.open() > 0 && performance.now() < giveUp) await pause(signal)
    } catch (error) {
      if (stop.aborted) throw stop.reason
      ended = describe(broken.signal.aborted ? broken.signal.reason : error)
      say(`stopped: ${ended}`)
    }
    broken.abort(new Error('It is over.'))
    await working
    const orphans = await watcher.orphans()
    await fleet.close()
    say('every server has ended; checking')

    const evidence = {
      scripts: load.scripts,
      acknowledged: load.acknowledged,
      readings: readers.readings,
      races: people.races,
      orphans,
      tally: fleet.tally,
      leaseMs: options.leaseMs,
      watched: database !== undefined,
    }
    const skipped = options.embedded
      ? ['all but kills: one process, no network']
      : [...(database?.cluster ? [] : ['PostgreSQL restarts']), ...(redis ? [] : ['Redis killed'])]
    const checked = await audit(evidence, place, watcher)
    const lines = [
      { what: 'everything came to its end', found: ended, ok: ended === 'yes', look: [] },
      ...checkFaults({ ...evidence, ...checked.evidence }, skipped),
      ...checked.lines,
    ]
    keep = lines.some(({ ok }) => !ok)
    return {
      ok: !keep,
      seed: options.seed,
      seconds: Math.round((performance.now() - began) / 1_000),
      lines,
      kept: keep ? [directory, ...(database ? keptOf(database) : [])] : [],
    }
  } finally {
    broken.abort(new Error('It is over.'))
    for (const closer of closers.reverse()) await closer()
    if (!keep) await rm(directory, { recursive: true, force: true })
  }
}

function keptOf({ url, cluster }: ChaosDatabase): string[] {
  return cluster === undefined ? [url] : [`${url} after: ${cluster.command}`]
}

/** The first server compiles the code for all that come after it, and leaves it behind when it ends in order. */
async function warmUp(fleet: Fleet): Promise<void> {
  const [slot] = fleet.slots
  if (slot === undefined) return
  await fleet.start(slot)
  await fleet.end(slot, 'SIGTERM')
}

function describe(error: unknown): string {
  if (error instanceof DOMException && error.name === 'TimeoutError') return 'the time is over'
  return error instanceof Error ? error.message : String(error)
}

/** The newest checkpoint of each thread that has a run, as a server tells it. */
async function headsOf(door: Door): Promise<Map<string, string>> {
  const found = await door.ask('POST', '/threads/search', { status: 'busy', limit: 1_000 })
  const heads = found.json<{ thread_id: string }[]>().map(async ({ thread_id: threadId }) => {
    const state = await door.ask('GET', `/threads/${threadId}/state`)
    const { checkpoint_id: head } = state.json<{ checkpoint_id: string | null }>()
    return [threadId, head ?? ''] as const
  })
  return new Map(await Promise.all(heads))
}
