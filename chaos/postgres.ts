import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, readdir, realpath } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'

const run = promisify(execFile)

/** A PostgreSQL that this command may stop, because it is its own. */
export interface Cluster {
  host: string
  port: number
  /** Of an empty database. */
  url: string
  description: string
  /** Stops it as `pg_ctl -m MODE` would, waits, and starts it again. */
  restart(mode: 'fast' | 'immediate', downMs: number): Promise<void>
  /** The command that starts it again, for a person who wants to look into it. */
  command: string
  close(): Promise<void>
}

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  fsync: 'on',
  synchronous_commit: 'on',
  log_min_messages: 'fatal',
}
const STARTS_WITHIN_MS = 60_000

/** Makes a cluster in `directory`, or returns `undefined` where PostgreSQL's programs are not installed. */
export async function startCluster(directory: string): Promise<Cluster | undefined> {
  const bin = await binaries()
  const owner = await ownerOf()
  if (bin === undefined || owner === undefined) return undefined
  const data = join(directory, 'postgres')
  await mkdir(data, { mode: 0o700 })
  if (owner.uid !== undefined) await chown(data, owner.uid, owner.gid ?? owner.uid)
  const as = { cwd: data, ...owner }
  await run(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '--auth=trust', '--encoding=UTF8'], as)
  const port = await freePort()
  const url = `postgres://postgres@127.0.0.1:${port}/chaos`

  let process: ChildProcess | undefined
  const start = async () => {
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    // Detached: an interrupt at the terminal is for this command, which then ends everything in order.
    process = spawn(join(bin, 'postgres'), ['-D', data, '-p', String(port), ...settings], {
      ...as,
      stdio: 'ignore',
      detached: true,
    })
    await untilAnswers(url.replace(/chaos$/, 'postgres'))
  }
  const stop = async (signal: NodeJS.Signals) => {
    if (process === undefined || process.exitCode !== null || process.signalCode !== null) return
    const exited = once(process, 'exit')
    process.kill(signal)
    await exited
  }
  await start()
  await execute(url.replace(/chaos$/, 'postgres'), 'create database chaos')
  const { stdout } = await run(join(bin, 'postgres'), ['--version'])
  return {
    host: '127.0.0.1',
    port,
    url,
    description: `${stdout.trim()}, a cluster of its own, fsync on`,
    command: `${join(bin, 'postgres')} -D ${data} -p ${port} -c unix_socket_directories=`,
    async restart(mode, downMs) {
      await stop(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
      await sleep(downMs)
      await start()
    },
    close: () => stop('SIGQUIT'),
  }
}

export async function execute(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

async function binaries(): Promise<string | undefined> {
  const onPath = (process.env['PATH'] ?? '').split(':').map((folder) => join(folder, 'initdb'))
  const versions = await readdir('/usr/lib/postgresql').catch((): string[] => [])
  const packaged = versions
    .toSorted((one, other) => Number(other) - Number(one))
    .map((version) => `/usr/lib/postgresql/${version}/bin/initdb`)
  for (const path of [...packaged, ...onPath]) {
    const real = await realpath(path).catch(() => undefined)
    if (real !== undefined) return dirname(real)
  }
  return undefined
}

/** PostgreSQL refuses to run as root. */
async function ownerOf(): Promise<{ uid?: number; gid?: number } | undefined> {
  if (process.getuid?.() !== 0) return {}
  try {
    const [uid, gid] = await Promise.all(
      ['-u', '-g'].map(async (which) => Number((await run('id', [which, 'postgres'])).stdout)),
    )
    return { uid, gid }
  } catch {
    return undefined
  }
}

async function untilAnswers(url: string): Promise<void> {
  const giveUp = performance.now() + STARTS_WITHIN_MS
  for (;;) {
    try {
      return await execute(url, 'select 1')
    } catch (cause) {
      if (performance.now() > giveUp) throw new Error('PostgreSQL does not start.', { cause })
      await sleep(50)
    }
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('There is no free port.')
  return address.port
}
