import { pause } from './door.ts'
import type { Fleet, Slot } from './fleet.ts'
import type { AroundFault, Plan, ProcessFault } from './plan.ts'
import type { Cluster } from './postgres.ts'
import type { Random } from './random.ts'
import type { Redis } from './redis.ts'
import type { Watcher } from './watcher.ts'

export interface Faults {
  /** From 0 to 1: how much of the schedule is over. */
  progress(): number
  /** Goes through the schedule, no faster than the load. */
  run(): Promise<void>
}

interface FaultOptions {
  plan: Plan
  fleet: Fleet
  watcher: Watcher
  /** Absent where PostgreSQL is not ours to stop. */
  cluster: Cluster | undefined
  leaseMs: number
  /** From 0 to 1: how much of the load is over. */
  load(): number
  /** Hears of each fault when it is over. */
  told(line: string): void
  redis: Redis | undefined
  random: Random
  signal: AbortSignal
  failed(error: unknown): void
}

const GETS_THERE_WITHIN_MS = 25_000
const TRIES = 4
/** A busy process is waited for that long; then an idle one will do. */
const BUSY_WITHIN_MS = 4_000

export function createFaults(options: FaultOptions): Faults {
  const { plan, fleet, watcher, cluster, redis, leaseMs, signal } = options
  const { tally } = fleet
  const done = { process: 0, around: 0 }
  const restarts: Promise<void>[] = []

  const take = async (random: Random): Promise<Slot> => {
    for (;;) {
      const up = fleet.slots.filter(({ frozen, server }) => !frozen && server?.isAlive() === true)
      const free = up.filter(({ taken }) => !taken)
      // Where there are several, one is always there to take over: else nobody's latency would be measured.
      const enough = up.length > 1 || fleet.slots.length === 1
      const slot = enough && free.length > 0 ? random.pick(free) : undefined
      if (slot !== undefined) {
        slot.taken = true
        return slot
      }
      await pause(signal)
    }
  }
  /** A slot whose process executes a run, if one does soon. */
  const takeBusy = async (random: Random): Promise<Slot> => {
    const giveUp = performance.now() + BUSY_WITHIN_MS
    for (;;) {
      const slot = await take(random)
      const late = performance.now() > giveUp
      if ((late || (await watcher.isExecuting(slot.workerId))) && (await watcher.mayDie(slot.workerId)))
        return slot
      slot.taken = false
      await pause(signal, 20)
    }
  }
  const kill = async (slot: Slot) => {
    const executing = await fleet.end(slot, 'SIGKILL')
    tally.add('kills')
    if (executing) tally.add('kills while executing')
  }

  /** Nobody waits for it: the next fault has other servers. */
  const restart = (slot: Slot, how?: { clockJumps: boolean }) => {
    restarts.push(
      fleet.start(slot, how).then(() => {
        slot.taken = false
      }, options.failed),
    )
  }

  const toProcess = async (fault: ProcessFault, random: Random) => {
    switch (fault.kind) {
      case 'kill': {
        const slot = await takeBusy(random)
        await kill(slot)
        restart(slot)
        return
      }
      case 'failpoint': {
        const slot = await takeBusy(random)
        await kill(slot)
        for (let tries = 0; tries < TRIES; tries++) {
          // The fewer passes, the surer it gets there.
          const pass = tries === 0 ? fault.pass : 1
          await fleet.start(slot, { failpoint: `${fault.name}=kill@${pass}` })
          const died = await fleet.diedAt(slot, fault.name, GETS_THERE_WITHIN_MS)
          tally.add('kills')
          if (died) tally.add('kills while executing')
          if (died) break
        }
        restart(slot)
        return
      }
      case 'upgrade':
        for (const slot of fleet.slots) {
          while (slot.taken || slot.server === undefined) await pause(signal)
          slot.taken = true
          await fleet.end(slot, 'SIGTERM')
          await fleet.start(slot)
          slot.taken = false
        }
        tally.add('upgrades')
        return
      case 'clock': {
        const slot = await take(random)
        await fleet.end(slot, 'SIGTERM')
        restart(slot, { clockJumps: true })
        tally.add('clocks that jump')
      }
    }
  }

  const around = async (fault: AroundFault, random: Random) => {
    switch (fault.kind) {
      case 'freeze': {
        const slot = await takeBusy(random)
        await fleet.freeze(slot, leaseMs + random.int(800, 2_500))
        tally.add('frozen beyond the lease')
        slot.taken = false
        return
      }
      case 'restart': {
        if (cluster === undefined) return
        const from = Date.now() - 2 * leaseMs
        await cluster.restart(fault.mode, fault.beyondLease ? leaseMs + 1_500 : random.int(50, 800))
        watcher.away(from, Date.now() + leaseMs)
        tally.add(`PostgreSQL restarts, ${fault.mode}`)
        return
      }
      case 'redis': {
        if (redis === undefined) return
        await redis.replace(random.int(0, 2_000))
        tally.add('Redis killed')
        return
      }
      case 'cut': {
        const slot = await take(random)
        const count = slot.proxy?.cut() ?? 0
        tally.add('connections cut', count)
        slot.taken = false
        return
      }
      case 'delay':
      case 'silence': {
        const slot = await take(random)
        const from = Date.now()
        if (fault.kind === 'delay') slot.proxy?.delay(fault.ms)
        else slot.proxy?.silence()
        const beyond = fault.kind === 'silence' && fault.beyondLease
        await pause(signal, beyond ? leaseMs + 1_500 : random.int(500, 2_000))
        slot.proxy?.heal()
        watcher.away(from - leaseMs, Date.now() + leaseMs)
        tally.add(fault.kind === 'delay' ? 'networks slowed' : 'networks silent')
        slot.taken = false
      }
    }
  }

  const lane = async <Fault>(
    name: 'process' | 'around',
    list: Fault[],
    act: (fault: Fault, random: Random) => Promise<void>,
  ) => {
    for (const [index, fault] of list.entries()) {
      const random = options.random.fork(`${name} ${index}`)
      while (options.load() < index / list.length - 0.02) await pause(signal)
      await pause(signal, random.int(100, 700))
      const from = performance.now()
      await act(fault, random)
      done[name]++
      options.told(`${JSON.stringify(fault)} took ${Math.round(performance.now() - from)} ms`)
    }
  }
  const shareOf = (name: 'process' | 'around') =>
    plan[name].length === 0 ? 1 : done[name] / plan[name].length
  return {
    progress: () => Math.min(shareOf('process'), shareOf('around')),
    async run() {
      await Promise.all([lane('process', plan.process, toProcess), lane('around', plan.around, around)])
      await Promise.all(restarts)
    },
  }
}
