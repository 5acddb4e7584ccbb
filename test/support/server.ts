import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Client } from '@langchain/langgraph-sdk'
import { OURS } from '../../chaos/server-process.ts'
import { loadConfig } from '../../server/config.ts'
import { createLog } from '../../server/log.ts'
import { startServer } from '../../server/main.ts'
import { openStorage } from '../../storage/open.ts'

/** Of every database of PostgreSQL's that tests make: the template is begun with it. */
export const TEST_SECRET = 'of the tests, for the tests, by the tests'

export interface TestServer {
  url: string
  dataDir: string
  /** The official SDK, on this server. */
  client: Client
  /** Structured log lines so far (in-process servers alone). */
  logLines: string[]
  close(): Promise<void>
}

export interface TestServerOptions {
  /** Unset: the embedded database. */
  databaseUrl?: string
  /** An OpenAI-compatible base URL, such as a scripted model's. Unset: the rehearsal model. */
  modelUrl?: string
  /** Kept at the end when given, else made and removed. */
  dataDir?: string
  /** Further settings, by their names in the environment. */
  env?: Record<string, string>
  now?: () => Date
}

/** A whole server in this process, on a free port. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const dataDir = options.dataDir ?? (await temporaryDirectory())
  const logLines: string[] = []
  const server = await startServer(loadConfig(environment(options, dataDir)), {
    log: createLog((line) => logLines.push(line)),
    clock: options.now ?? (() => new Date()),
    greet: () => {},
  })
  return {
    url: server.url,
    dataDir,
    client: new Client({ apiUrl: server.url, apiKey: null, callerOptions: { maxRetries: 0 } }),
    logLines,
    async close() {
      await server.close()
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true })
    },
  }
}

export interface ServerProcess {
  url: string
  process: ChildProcess
  client: Client
  /** Ends the process as a power cut would, and waits until it is gone. */
  kill(): Promise<void>
  /** Asks it to stop (SIGTERM) and waits for its exit code. */
  stop(): Promise<number | null>
}

/** A server in a process of its own, for tests that kill it. The caller keeps the data directory. */
export async function spawnServer(options: TestServerOptions & { dataDir: string }): Promise<ServerProcess> {
  const child = spawn(process.execPath, ['server/main.ts'], {
    env: { ...OURS, ...environment(options, options.dataDir) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const url = await Promise.race([
    addressOf(child),
    exited.then(([code]) => Promise.reject(new Error(`The server ended with ${code} before it listened.`))),
  ])
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await exited
    return child.exitCode
  }
  return {
    url,
    process: child,
    client: new Client({ apiUrl: url, apiKey: null, callerOptions: { maxRetries: 0 } }),
    async kill() {
      await end('SIGKILL')
    },
    stop: () => end('SIGTERM'),
  }
}

export function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'holdpoint-test-'))
}

/** Brings an empty PostgreSQL database to the newest schema: what `useDatabase` clones. */
export async function migrateDatabase(databaseUrl: string): Promise<void> {
  const storage = await openStorage({
    databaseUrl,
    dataDir: '',
    secret: TEST_SECRET,
    poolSize: 2,
    connectTimeoutMs: 3_000,
  })
  await storage.close()
}

async function addressOf(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('The server has no standard output.')
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /listens on (http:\S+)/.exec(line)?.[1]
    if (url !== undefined) {
      child.stdout.resume()
      return url
    }
  }
  throw new Error('The server did not say where it listens.')
}

function environment(
  { databaseUrl, modelUrl, env }: TestServerOptions,
  dataDir: string,
): Record<string, string> {
  return {
    PORT: '0',
    HOLDPOINT_DATA_DIR: dataDir,
    ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl, HOLDPOINT_SECRET: TEST_SECRET }),
    ...(modelUrl === undefined ? {} : { OPENAI_API_KEY: 'test', OPENAI_BASE_URL: modelUrl }),
    ...env,
  }
}
