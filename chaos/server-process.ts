import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

const ROOT = new URL('../', import.meta.url)
/** What a server has of this process's environment. */
export const OURS = { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] }

export interface ServerOptions {
  env: Record<string, string>
  /** Where its log goes. */
  log: string
  /** Give it a clock that jumps. */
  clockJumps?: boolean
}

/** One server, from when it listens. */
export interface ServerProcess {
  pid: number
  url: string
  /** When and how it ended. */
  ended: Promise<{ at: number; signal: NodeJS.Signals | null; code: number | null }>
  isAlive(): boolean
  signal(name: NodeJS.Signals): void
}

/** Starts `node server/main.ts`. Throws when it ends before it listens. */
export async function startServerProcess({ env, log, clockJumps }: ServerOptions): Promise<ServerProcess> {
  const output = openSync(log, 'a')
  const preload = clockJumps === true ? ['--import', new URL('clock-jumps.ts', import.meta.url).href] : []
  const child = spawn(process.execPath, [...preload, 'server/main.ts'], {
    cwd: ROOT,
    env: { ...OURS, ...env },
    stdio: ['ignore', 'pipe', output],
    detached: true,
  })
  closeSync(output)
  const ended = once(child, 'exit').then(([code, signal]) => ({
    at: Date.now(),
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
  }))
  const isAlive = () => child.exitCode === null && child.signalCode === null
  const signal = (name: NodeJS.Signals) => {
    if (isAlive()) child.kill(name)
  }
  const url = await Promise.race([addressOf(child), ended.then(() => undefined)])
  if (url === undefined || child.pid === undefined) {
    signal('SIGKILL')
    throw new NotStarted(child.signalCode === 'SIGKILL')
  }
  return { pid: child.pid, url, ended, isAlive, signal }
}

export class NotStarted extends Error {
  /** True where it died of a failpoint before it listened. */
  readonly killed: boolean

  constructor(killed: boolean) {
    super('The server ended before it listened.')
    this.name = 'NotStarted'
    this.killed = killed
  }
}

/** Ends it and waits until it is gone. */
export async function endProcess(server: ServerProcess, signal: 'SIGKILL' | 'SIGTERM', withinMs: number) {
  server.signal(signal)
  await Promise.race([server.ended, sleep(withinMs, undefined, { ref: false })])
  server.signal('SIGKILL')
  return await server.ended
}

async function addressOf(child: ChildProcess): Promise<string | undefined> {
  if (child.stdout === null) return undefined
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /listens on (http:\S+)/.exec(line)?.[1]
    if (url === undefined) continue
    child.stdout.resume()
    return url
  }
  return undefined
}
