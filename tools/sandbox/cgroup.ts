import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Control groups below this process's own, one for each child: what it and all its children may use together. */
export interface Cgroups {
  make(limits: { memoryBytes: number; pids: number }): Cgroup
  /** Removes those that nobody is in any more, at the end within a second: a killed process takes a moment to be gone. */
  close(): Promise<void>
}

export interface Cgroup {
  /** The files that a process writes its id to in order to join. */
  join: string[]
  /** Its process has ended: it may go. Before that it may be empty because nobody has joined yet. */
  release(): void
}

/** A directory of a hierarchy, and the file of a limit in each group below it. */
interface Hierarchy {
  directory: string
  memory?: string
  pids?: string
}

const MOUNT = '/sys/fs/cgroup'
const CLOSE_TRIES = 50
const CLOSE_MS = 20
const PROBE = { memoryBytes: 64 * 1024 * 1024, pids: 16 }

/** `undefined` where the host grants none: it takes a group that this process may write to, as root or by delegation. */
export function findCgroups(): Cgroups | undefined {
  try {
    const groups = createCgroups(hierarchies())
    groups.make(PROBE).release()
    return groups
  } catch {
    return undefined
  }
}

/** Of version 2, where all controllers are in one, or of version 1, where each has its own. */
function hierarchies(): Hierarchy[] {
  const own = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n')
  const pathOf = (controller: string) =>
    own.find((line) => line.split(':')[1]?.split(',').includes(controller))?.split(':')[2]
  const [memory, pids] = [pathOf('memory'), pathOf('pids')]
  if (memory !== undefined && pids !== undefined) {
    return [
      { directory: join(MOUNT, 'memory', memory), memory: 'memory.limit_in_bytes' },
      { directory: join(MOUNT, 'pids', pids), pids: 'pids.max' },
    ]
  }
  const unified = own.find((line) => line.startsWith('0::'))?.slice(3)
  if (unified === undefined) throw new Error('This process is in no control group.')
  return [{ directory: join(MOUNT, unified), memory: 'memory.max', pids: 'pids.max' }]
}

function createCgroups(within: Hierarchy[]): Cgroups {
  const released = new Set(within.flatMap(({ directory }) => leftIn(directory)))
  let count = 0

  function make({ memoryBytes, pids }: { memoryBytes: number; pids: number }): Cgroup {
    sweep()
    const name = `holdpoint-${process.pid}-${++count}`
    const groups = within.map(({ directory }) => join(directory, name))
    const release = () => groups.forEach((group) => released.add(group))
    try {
      within.forEach((hierarchy, index) => {
        const group = groups[index] ?? ''
        mkdirSync(group)
        if (hierarchy.memory !== undefined) set(join(group, hierarchy.memory), memoryBytes)
        if (hierarchy.pids !== undefined) set(join(group, hierarchy.pids), pids)
      })
    } catch (cause) {
      release()
      sweep()
      throw cause
    }
    return { join: groups.map((group) => join(group, 'cgroup.procs')), release }
  }

  function sweep(): void {
    for (const group of released) {
      try {
        rmdirSync(group)
        released.delete(group)
      } catch {
        // Somebody is still in it, or it was never made.
        if (!existsSync(group)) released.delete(group)
      }
    }
  }

  async function close(): Promise<void> {
    for (let tries = 0; tries < CLOSE_TRIES; tries++) {
      sweep()
      if (released.size === 0) return
      await sleep(CLOSE_MS)
    }
  }

  return { make, close }
}

/** Those of servers that were killed. */
function leftIn(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.startsWith('holdpoint-') && !existsSync(`/proc/${name.split('-')[1] ?? ''}`))
    .map((name) => join(directory, name))
}

/** Reads it again: a controller that is off has no such file, or does not keep what it is told. */
function set(file: string, value: number): void {
  writeFileSync(file, String(value))
  const kept = readFileSync(file, 'utf8').trim()
  if (Number(kept) !== value) throw new Error(`${file} says ${kept}.`)
}
