import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { Report, Row } from './report.ts'
import { createSides, type Side, type SideName, type Sides } from './sides.ts'
import { type Workload, WORKLOADS } from './workloads.ts'

const READERS = 1_000
const WARM_READERS = 200

export interface Comparison {
  rounds: number
  sides: readonly SideName[]
  /** Names of workloads, and `readers`. Unset: all. */
  only: readonly string[] | undefined
}

/**
 * Every side on the same workloads, in alternating rounds on the same machine. Ratios of one run are comparable,
 * milliseconds of two machines are not.
 */
export async function compare({ rounds, sides: names, only }: Comparison): Promise<Report> {
  const workloads = WORKLOADS.filter(({ name }) => only === undefined || only.includes(name))
  const sides = await createSides()
  try {
    const started: Side[] = []
    for (const name of names) started.push(await sides.start(name))
    const atRest: Report['memory']['atRest'] = {}
    for (const side of started) atRest[side.name] = await memoryOf(side)
    for (const side of started) await load(side, { load: 'rate', size: 8 })
    const rows = await rowsOf(workloads, started, rounds)
    const reads = names.includes('holdpoint') && (only === undefined || only.includes('readers'))
    return {
      rounds,
      sides: names,
      rows,
      memory: { atRest, perReader: reads ? await perReader(sides) : undefined },
    }
  } finally {
    await sides.close()
  }
}

/** Sides take turns within a round, so that what else the machine does meets them alike. */
async function rowsOf(workloads: readonly Workload[], sides: Side[], rounds: number): Promise<Row[]> {
  const rows = workloads.map((workload): Row => ({ workload, figures: {} }))
  const loads = Map.groupBy(rows, ({ workload }) => `${workload.load} ${workload.size}`)
  for (let round = 0; round < rounds; round++) {
    for (const same of loads.values()) {
      for (const side of sides) {
        const of = same.filter(({ workload }) => workload.sides.includes(side.name))
        const [row] = of
        if (row === undefined) continue
        // The others stand still meanwhile: one that keeps its state in memory writes it to disk again and again.
        for (const other of sides) process.kill(other.pid, other === side ? 'SIGCONT' : 'SIGSTOP')
        const measured = await load(side, row.workload)
        for (const { workload, figures } of of)
          (figures[side.name] ??= []).push(measured[workload.figure] ?? Number.NaN)
      }
    }
    for (const { pid } of sides) process.kill(pid, 'SIGCONT')
    process.stderr.write(`round ${round + 1} of ${rounds}\n`)
  }
  return rows
}

function argsOf(side: Side, { load: work, size }: Pick<Workload, 'load' | 'size'>): string[] {
  const program = new URL('load.ts', import.meta.url).pathname
  return [program, '--target', side.target, '--work', work, '--size', String(size)]
}

export async function load(
  side: Side,
  workload: Pick<Workload, 'load' | 'size'>,
): Promise<Record<string, number>> {
  const { stdout } = await promisify(execFile)(process.execPath, argsOf(side, workload))
  return JSON.parse(stdout) as Record<string, number>
}

/** Bytes that a server of its own grows by for each thread stream on which nothing happens. The first ones warm it up. */
async function perReader(sides: Sides): Promise<number> {
  const side = await sides.start('holdpoint')
  await load(side, { load: 'rate', size: 8 })
  const close = [await openReaders(side, WARM_READERS)]
  const before = await memoryOf(side)
  close.push(await openReaders(side, READERS))
  const grown = (await memoryOf(side)) - before
  for (const each of close) await each()
  return grown / READERS
}

async function openReaders(side: Side, size: number): Promise<() => Promise<void>> {
  const child = spawn(process.execPath, argsOf(side, { load: 'readers', size }), {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await once(createInterface({ input: child.stdout }), 'line')
  return async () => {
    const exited = once(child, 'exit')
    child.stdin.end()
    await exited
  }
}

/** Bytes of memory that a process has for itself, by Linux's own account. */
async function memoryOf({ pid }: Side): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1]) * 1_024
}
