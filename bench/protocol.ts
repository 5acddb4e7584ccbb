import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs, promisify } from 'node:util'
import pg from 'pg'

/**
 * Holdpoint on PostgreSQL against the official development server (in memory), both serving a graph of two nodes, in
 * alternating rounds on the same machine. Ratios of one run are comparable, milliseconds of two machines are not.
 * `npm run bench:protocol [-- --rounds 5]`
 */

interface Figures {
  wait: number
  first: number
  perSecond: number
}

const HERE = new URL('.', import.meta.url).pathname
const DATABASE = process.env['TEST_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, json: { type: 'boolean' } },
})

async function main(): Promise<void> {
  if (!existsSync(join(HERE, 'official/node_modules')))
    throw new Error('The official server is not installed: run `npm install` in bench/official first.')
  const name = `holdpoint_bench_${process.pid}`
  const admin = new pg.Client({ connectionString: DATABASE })
  await admin.connect()
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-bench-'))
  const servers: ChildProcess[] = []
  try {
    await admin.query(`create database ${name}`)
    const ours = start(servers, ['server/main.ts'], join(HERE, '..'), {
      PORT: '0',
      DATABASE_URL: new URL(name, DATABASE.replace(/[^/]*$/, '')).href,
      HOLDPOINT_SECRET: randomBytes(32).toString('hex'),
      HOLDPOINT_DATA_DIR: directory,
      HOLDPOINT_CONFIG: join(HERE, 'two-nodes/langgraph.json'),
    })
    const official = start(servers, ['serve.mjs', String(await freePort())], join(HERE, 'official'), {})
    const sides = { Holdpoint: await ours, official: await official }
    for (const url of Object.values(sides)) await load(url, ['--requests', '10', '--ms', '1000'])
    const rounds: Record<keyof typeof sides, Figures>[] = []
    for (let round = 0; round < Number(values.rounds); round++)
      rounds.push({ Holdpoint: await load(sides.Holdpoint, []), official: await load(sides.official, []) })
    report(rounds)
  } finally {
    for (const server of servers) await end(server)
    await admin.query(`drop database if exists ${name} with (force)`)
    await admin.end()
    await rm(directory, { recursive: true, force: true })
  }
}

async function start(
  servers: ChildProcess[],
  args: string[],
  cwd: string,
  env: Record<string, string>,
): Promise<string> {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  servers.push(child)
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /listens on (http:\S+)/.exec(line)?.[1]
    if (url === undefined) continue
    child.stdout.resume()
    return url
  }
  throw new Error(`${args[0]} ended before it listened.`)
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

async function load(url: string, more: string[]): Promise<Figures> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    join(HERE, 'load.ts'),
    '--url',
    url,
    ...more,
  ])
  return JSON.parse(stdout) as Figures
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

function report(rounds: Record<'Holdpoint' | 'official', Figures>[]): void {
  const middle = (side: 'Holdpoint' | 'official', figure: keyof Figures) => {
    const sorted = rounds.map((round) => round[side][figure]).toSorted((a, b) => a - b)
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  }
  const lines = (
    [
      ['wait', '`runs/wait`, one client, p50 in ms'],
      ['first', 'first event of `runs/stream`, p50 in ms'],
      ['perSecond', 'runs/s at 32 clients'],
    ] as const
  ).map(([figure, what]) => {
    const [ours, official] = [middle('Holdpoint', figure), middle('official', figure)]
    return { what, ours, official, ratio: ours / official }
  })
  if (values.json === true)
    return void process.stdout.write(`${JSON.stringify({ rounds, lines }, null, 2)}\n`)
  process.stdout.write('| | Holdpoint | official | ratio |\n|---|---|---|---|\n')
  for (const { what, ours, official, ratio } of lines)
    process.stdout.write(`| ${what} | ${ours.toFixed(1)} | ${official.toFixed(1)} | ${ratio.toFixed(3)} |\n`)
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
})
