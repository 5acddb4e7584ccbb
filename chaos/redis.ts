import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './postgres.ts'

/** A Redis of this command's own, which forgets everything when it dies. */
export interface Redis {
  url: string
  /** Kills it, waits, and starts an empty one at the same place. */
  replace(downMs: number): Promise<void>
  close(): Promise<void>
}

const STARTS_WITHIN_MS = 10_000

/** `undefined` where Redis is not installed. */
export async function startRedis(directory: string): Promise<Redis | undefined> {
  const program = await onPath('redis-server')
  if (program === undefined) return undefined
  const port = await freePort()
  let process: ChildProcess | undefined
  const start = async () => {
    const options = [
      '--port',
      `${port}`,
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      directory,
    ]
    process = spawn(program, options, { stdio: 'ignore', detached: true })
    const giveUp = performance.now() + STARTS_WITHIN_MS
    while (!(await answers(port))) {
      if (performance.now() > giveUp) throw new Error('Redis does not start.')
      await sleep(20)
    }
  }
  const stop = async () => {
    if (process === undefined || process.exitCode !== null || process.signalCode !== null) return
    const exited = once(process, 'exit')
    process.kill('SIGKILL')
    await exited
  }
  await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    async replace(downMs) {
      await stop()
      await sleep(downMs)
      await start()
    },
    close: stop,
  }
}

async function onPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    const path = join(folder, name)
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  return undefined
}

async function answers(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
