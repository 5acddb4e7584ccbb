import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'

export interface RedisProcess {
  url: string
  process: ChildProcess
  /** Starts it again on the same port, empty. Does nothing while it runs. */
  start(): Promise<void>
  /** Ends it as a power cut would. */
  kill(): Promise<void>
}

/** False where there is no `redis-server` to start. With `CI=true` there has to be one. */
export function hasRedisServer(): boolean {
  return process.env['CI'] === 'true' || spawnSync('redis-server', ['--version']).status === 0
}

/** A Redis of its own for a test that kills it, on a free port, with nothing on disk. */
export async function startRedis(): Promise<RedisProcess> {
  const port = await freePort()
  const redis: RedisProcess = {
    url: `redis://127.0.0.1:${port}`,
    process: await spawnRedis(port),
    async start() {
      if (redis.process.exitCode !== null || redis.process.signalCode !== null)
        redis.process = await spawnRedis(port)
    },
    async kill() {
      if (redis.process.exitCode !== null || redis.process.signalCode !== null) return
      const exited = once(redis.process, 'exit')
      redis.process.kill('SIGKILL')
      await exited
    },
  }
  return redis
}

async function spawnRedis(port: number): Promise<ChildProcess> {
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const child = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.includes('Ready to accept connections')) continue
    child.stdout.resume()
    return child
  }
  throw new Error(`redis-server did not start on port ${port}.`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
