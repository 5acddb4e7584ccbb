import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Problem } from './problem.ts'

export interface RunningServer {
  url: string
  /** Ends the server if it was started for the demo. */
  close(): Promise<void>
}

const DEFAULT_PORT = '2024'
const START_MS = 30_000
const STOP_MS = 5_000

/** The server at `given`, or the one on the usual port, or a new one there. */
export async function ensureServer(given: string | undefined): Promise<RunningServer> {
  const url = (given ?? `http://127.0.0.1:${process.env['PORT'] ?? DEFAULT_PORT}`).replace(/\/+$/, '')
  if (!URL.canParse(url)) throw new Problem(`HOLDPOINT_URL is no address: ${url}`, { exitCode: 2 })
  if (await answers(url)) return { url, close: () => Promise.resolve() }
  if (given !== undefined)
    throw new Problem(`Nothing answers at ${url}/ok. Start it with npm start, or unset HOLDPOINT_URL.`)

  process.stdout.write('No server runs: starting one.\n')
  const cwd = fileURLToPath(new URL('../../', import.meta.url))
  const env = { ...process.env, HOST: '127.0.0.1', PORT: new URL(url).port }
  const child = spawn(process.execPath, ['server/main.ts'], { cwd, env, stdio: ['ignore', 'ignore', 'pipe'] })
  // Ctrl-C reaches the child by itself; whatever else ends the demo has to take it along.
  const onExit = () => child.kill()
  process.once('exit', onExit)
  const close = async () => {
    process.removeListener('exit', onExit)
    await stop(child)
  }
  try {
    await untilReady(url, child)
  } catch (error) {
    await close()
    throw error
  }
  return { url, close }
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000)
  })
  const deadline = Date.now() + START_MS
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Problem(
        `The server did not start: ${said.trim().split('\n').at(-1) || `exit code ${child.exitCode}`}`,
      )
    }
    if (await answers(url)) return
    await sleep(100)
  }
  throw new Problem(
    `The server did not answer within ${START_MS / 1000} s. Start it with npm start to see why.`,
  )
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/ok`, { signal: AbortSignal.timeout(2_000) })).ok
  } catch {
    return false
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await ended
  clearTimeout(timer)
}
