import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { Services } from '../runtime/services.ts'
import { WORKSPACES } from '../runtime/workspaces.ts'
import { startScriptedModel } from '../test/support/scripted-model.ts'
import { spawnServer } from '../test/support/server.ts'
import { reachOf } from '../tools/capabilities.ts'
import type { Tool, ToolCallContext } from '../tools/define.ts'
import { permit } from '../tools/permit.ts'
import { runJavascript } from '../tools/run-javascript.ts'
import { runPython } from '../tools/run-python.ts'
import { createBubblewrapSandbox } from '../tools/sandbox/bubblewrap.ts'
import { createChildSandbox } from '../tools/sandbox/child.ts'
import { SANDBOX, type SandboxBackend } from '../tools/sandbox/sandbox.ts'
import { createWorkspaces } from '../tools/workspace.ts'

/**
 * How long a call of a code tool takes, from the tool to its result, and what the processes of a server with idle spares
 * weigh. Cold calls are included: the first ones of each thread, and of Python the first of a machine apart.
 * `npm run bench:tools [-- --calls 200] [--json]`
 */
const { values: options } = parseArgs({
  options: { calls: { type: 'string', default: '200' }, json: { type: 'boolean', default: false } },
})
const CALLS = Number(options.calls)
/** Longer than a used child waits for its thread (tools/sandbox/runner-pool.ts). */
const IDLE_MS = 13_000
const CODE = {
  run_javascript: "const rows = (await readFile('a.csv')).split('\\n'); rows.length",
  run_python: "rows = open('a.csv').read().split('\\n')\nlen(rows)",
}

interface Row {
  sandbox: string
  tool: string
  concurrency: number
  first_ms: number
  p50_ms: number
  p99_ms: number
  max_ms: number
}

const folder = await mkdtemp(join(tmpdir(), 'bench-tools-'))
try {
  const latencies: Row[] = []
  for (const create of [createChildSandbox, createBubblewrapSandbox]) {
    latencies.push(...(await measureBackend(create)))
  }
  const weight = await weigh()
  process.stdout.write(
    options.json ? `${JSON.stringify({ latencies, weight }, null, 2)}\n` : table(latencies, weight),
  )
} finally {
  await rm(folder, { recursive: true })
}

async function measureBackend(create: typeof createChildSandbox): Promise<Row[]> {
  const workspaces = createWorkspaces(join(folder, 'workspaces'))
  const backend = create({ workspaces, snapshots: join(folder, 'snapshots') })
  const probed = await backend.probe()
  if (!probed.ok) {
    process.stderr.write(`${backend.id} is left out: ${probed.reason}\n`)
    return []
  }
  const services = new Services().with(SANDBOX, backend).with(WORKSPACES, workspaces)
  const rows: Row[] = []
  for (const tool of [runJavascript, runPython] as unknown as Tool[])
    for (const concurrency of [1, 4]) rows.push(await measure(backend, tool, concurrency, services))
  await backend.close()
  return rows
}

/** Each thread calls one after the other, as an agent does. */
async function measure(
  { id }: SandboxBackend,
  tool: Tool,
  concurrency: number,
  services: Services,
): Promise<Row> {
  const times: number[] = []
  let first = 0
  const thread = async () => {
    const threadId = randomUUID()
    await services.get(WORKSPACES).write(threadId, 'a.csv', Buffer.from('x,y\n1,2\n'))
    for (let call = 0; call < CALLS / concurrency; call++) {
      const startedAt = performance.now()
      await tool.run(
        { code: CODE[tool.name as keyof typeof CODE] },
        permit(tool, contextOf(threadId, services)),
      )
      const took = performance.now() - startedAt
      first ||= took
      times.push(took)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, thread))
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => round(sorted[Math.ceil(sorted.length * share) - 1] ?? 0)
  return {
    sandbox: id,
    tool: tool.name,
    concurrency,
    first_ms: round(first),
    p50_ms: at(0.5),
    p99_ms: at(0.99),
    max_ms: at(1),
  }
}

function contextOf(threadId: string, services: Services): ToolCallContext {
  const id = randomUUID()
  const signal = new AbortController().signal
  return {
    threadId,
    callId: id,
    idempotencyKey: id,
    attempt: id,
    signal,
    secret: () => '',
    ...reachOf({ name: 'bench' }, threadId, services, signal),
  }
}

/** A server on PostgreSQL whose agent has used both tools, once nothing but the spares is left. */
async function weigh() {
  const admin = new pg.Client(
    process.env['TEST_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres',
  )
  await admin.connect()
  const database = `holdpoint_bench_${randomUUID().replaceAll('-', '')}`
  await admin.query(`create database ${database}`)
  const model = await startScriptedModel([
    {
      toolCalls: [
        { name: 'run_javascript', args: { code: '1 + 1' } },
        { name: 'run_python', args: { code: '1 + 1' } },
      ],
    },
    { content: 'Both are 2.' },
  ])
  const databaseUrl = new URL(
    `/${database}`,
    admin.host === undefined
      ? undefined
      : `postgres://${admin.user ?? 'postgres'}@${admin.host}:${admin.port}`,
  )
  const server = await spawnServer({
    databaseUrl: databaseUrl.href,
    modelUrl: model.url,
    dataDir: join(folder, 'data'),
  })
  try {
    const { thread_id: thread } = await server.client.threads.create()
    const before = tree(server.process.pid)
    await server.client.runs.wait(thread, 'react', {
      input: { messages: [{ role: 'user', content: 'How much is 1 + 1?' }] },
    })
    await sleep(IDLE_MS)
    const idle = tree(server.process.pid)
    return { before_first_use: before, with_idle_spares: idle }
  } finally {
    await server.stop()
    await model.close()
    await admin.query(`drop database ${database} with (force)`)
    await admin.end()
  }
}

/** Megabytes of memory of a process and of all that it has started, what several share divided among them. */
function tree(pid: number | undefined): { processes: number; pss_mb: number } {
  const pids = [String(pid), ...descendants(String(pid))]
  const kilobytes = pids.map((one) =>
    Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${one}/smaps_rollup`))?.[1] ?? 0),
  )
  return { processes: pids.length, pss_mb: Math.round(kilobytes.reduce((sum, one) => sum + one, 0) / 1024) }
}

function descendants(pid: string): string[] {
  const children = readdirSync('/proc').filter(
    (name) => /^\d+$/.test(name) && /^PPid:\s+(\d+)$/m.exec(read(`/proc/${name}/status`))?.[1] === pid,
  )
  return children.flatMap((child) => [child, ...descendants(child)])
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}

function table(rows: Row[], weight: Awaited<ReturnType<typeof weigh>>): string {
  const lines = rows.map(
    (row) =>
      `| ${row.sandbox} | ${row.tool} | ${row.concurrency} | ${row.first_ms} | ${row.p50_ms} | ${row.p99_ms} | ${row.max_ms} |`,
  )
  return [
    `| sandbox | tool | at a time | first, ms | p50, ms | p99, ms | longest, ms |`,
    '|---|---|---|---|---|---|---|',
    ...lines,
    '',
    `Server on PostgreSQL: ${weight.before_first_use.pss_mb} MB before the first call, ${weight.with_idle_spares.pss_mb} MB with idle spares (${weight.with_idle_spares.processes} processes).`,
    '',
  ].join('\n')
}
