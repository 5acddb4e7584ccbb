import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream, existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'

/**
 * Who runs the same graphs. `bare`: `graph.invoke` in a process of its own, behind a pipe, on LangGraph's PostgresSaver
 * as it is; `saver`: the same on ours; `holdpoint` and `embedded`: our server on PostgreSQL and on PGlite; `official`:
 * LangGraph's development server, in memory.
 */
export const SIDES = ['bare', 'saver', 'holdpoint', 'embedded', 'official'] as const
export type SideName = (typeof SIDES)[number]

export interface Side {
  name: SideName
  /** What `bench/load.ts` takes: an HTTP address, or `unix:` and a path. */
  target: string
  pid: number
}

export interface Sides {
  /** `flags`: of its Node. */
  start(name: SideName, flags?: string[]): Promise<Side>
  /** Ends the processes and drops the databases. */
  close(): Promise<void>
}

const HERE = new URL('.', import.meta.url).pathname
const ADMIN = process.env['TEST_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'

export async function createSides(): Promise<Sides> {
  const admin = new pg.Client({ connectionString: ADMIN })
  await admin.connect()
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-bench-'))
  const children: ChildProcess[] = []
  const databases: string[] = []
  let closed: Promise<void> | undefined

  async function database(side: SideName): Promise<string> {
    const name = `holdpoint_bench_${side}_${process.pid}_${databases.length}`
    await admin.query(`create database ${name}`)
    databases.push(name)
    const url = new URL(ADMIN)
    url.pathname = `/${name}`
    return url.href
  }

  async function commandOf(
    side: SideName,
  ): Promise<{ args: string[]; cwd: string; env?: Record<string, string> }> {
    const ours = {
      PORT: '0',
      HOLDPOINT_DATA_DIR: join(directory, side),
      HOLDPOINT_CONFIG: join(HERE, 'project/langgraph.json'),
    }
    const secret = { HOLDPOINT_SECRET: randomBytes(32).toString('hex') }
    switch (side) {
      case 'bare':
      case 'saver': {
        const args = ['bench/bare.ts', side, await database(side), join(directory, `${side}.sock`)]
        return { args, cwd: join(HERE, '..') }
      }
      case 'holdpoint': {
        const env = { ...ours, ...secret, DATABASE_URL: await database(side) }
        return { args: ['server/main.ts'], cwd: join(HERE, '..'), env }
      }
      case 'embedded':
        return { args: ['server/main.ts'], cwd: join(HERE, '..'), env: ours }
      case 'official':
        if (!existsSync(join(HERE, 'official/node_modules')))
          throw new Error('The official server is not installed: run `npm install` in bench/official first.')
        return { args: ['serve.mjs', String(await freePort())], cwd: join(HERE, 'official') }
    }
  }

  return {
    async start(name, flags = []) {
      const { args, cwd, env } = await commandOf(name)
      const logFile = join(directory, `${name}.log`)
      const child = spawn(process.execPath, [...flags, ...args], {
        cwd,
        env: { PATH: process.env['PATH'], ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child.stderr.pipe(createWriteStream(logFile))
      children.push(child)
      for await (const line of createInterface({ input: child.stdout })) {
        const [, target] = /listens on ((?:http|unix):\S+)/.exec(line) ?? []
        if (target === undefined) continue
        child.stdout.resume()
        return { name, target, pid: child.pid ?? 0 }
      }
      throw new Error(`${name} ended before it listened:\n${await readFile(logFile, 'utf8')}`)
    },
    close: () => (closed ??= close()),
  }

  async function close(): Promise<void> {
    for (const child of children) await end(child)
    for (const name of databases) await admin.query(`drop database if exists ${name} with (force)`)
    await admin.end()
    await rm(directory, { recursive: true, force: true })
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGCONT')
  child.kill('SIGTERM')
  await exited
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}
