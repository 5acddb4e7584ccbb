import { randomBytes, randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import { AIMessage } from '@langchain/core/messages'
import { END, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import type { BaseCheckpointSaver } from '@langchain/langgraph-checkpoint'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import pg from 'pg'
import { auditKeys } from '../runtime/audit.ts'
import { createCheckpoints } from '../storage/checkpoints.ts'
import { migrate } from '../storage/migrate.ts'
import { openPostgres } from '../storage/postgres.ts'
import { withRecord } from '../storage/record.ts'

/**
 * What a conversation costs that grows by one message of 1,000 characters a step, `durability: sync`: on LangGraph's
 * PostgresSaver as it is, and on ours as a run has it, with its fence. Each measurement has a database of its own, and
 * the sides alternate. `node bench/checkpoints.ts [--steps 400] [--rounds 3] [--ours] [--json]`
 */

const DATABASE = process.env['TEST_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '400' },
    rounds: { type: 'string', default: '3' },
    ours: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const STEPS = Number(values.steps)
/** Steps around the tenth and the last. */
const WINDOW = 10
/** CPU time is counted coarsely, and the first steps compile. */
const CPU_WINDOW = 50
const CPU_FROM = 10

interface Figures {
  /** By which all tables of checkpoints grew, with their indexes. */
  bytes: number
  msEarly: number
  msLate: number
  /** Of this process: what others on the machine do is not in it. */
  cpuEarly: number
  cpuLate: number
  msGetState: number
}

interface Opened {
  saver: BaseCheckpointSaver
  /** Another that knows nothing yet. */
  reader: BaseCheckpointSaver
  threadId: string
  close(): Promise<void>
}

async function stock(url: string): Promise<Opened> {
  const pool = new pg.Pool({ connectionString: url })
  // Its connections are still going when the database is dropped.
  pool.on('error', () => {})
  const saver = new PostgresSaver(pool)
  await saver.setup()
  return { saver, reader: saver, threadId: randomUUID(), close: () => saver.end() }
}

async function ours(url: string): Promise<Opened> {
  const connection = await openPostgres(url, { poolSize: 10, connectTimeoutMs: 3_000 })
  await migrate(connection)
  const db = withRecord(connection, auditKeys('bench'))
  const [threadId, runId] = [randomUUID(), randomUUID()]
  await db.query('insert into threads (thread_id) values ($1)', [threadId])
  const { rows } = await db.query<{ lease_token: string }>(
    `insert into runs (thread_id, run_id, assistant_id, status, request, multitask_strategy, worker_id)
    values ($1, $2, $2, 'running', '{}', 'enqueue', $2) returning lease_token::text`,
    [threadId, runId],
  )
  const run = {
    thread_id: threadId,
    run_id: runId,
    lease_token: rows[0]?.lease_token ?? '',
    metadata: {},
    continues: false,
  }
  const checkpoints = createCheckpoints(db)
  const { saver } = checkpoints.fenced(
    run as unknown as Parameters<typeof checkpoints.fenced>[0],
    (error) => {
      throw error
    },
  )
  return { saver, reader: checkpoints.plain, threadId, close: () => db.close() }
}

async function measure(open: (url: string) => Promise<Opened>): Promise<Figures> {
  const name = `holdpoint_bench_${process.pid}_${randomBytes(3).toString('hex')}`
  const admin = new pg.Client({ connectionString: DATABASE })
  await admin.connect()
  try {
    await admin.query(`create database ${name}`)
    const url = new URL(name, DATABASE.replace(/[^/]*$/, '')).href
    const opened = await open(url)
    try {
      const empty = await bytesOf(url)
      const { times, cpu } = await grow(opened)
      const msGetState = await medianOf(11, () => graphOf(opened.reader).getState(configOf(opened.threadId)))
      return {
        bytes: (await bytesOf(url)) - empty,
        msEarly: median(times.slice(5, 5 + WINDOW)),
        msLate: median(times.slice(-WINDOW)),
        cpuEarly: mean(cpu.slice(CPU_FROM, CPU_FROM + CPU_WINDOW)),
        cpuLate: mean(cpu.slice(-CPU_WINDOW)),
        msGetState,
      }
    } finally {
      await opened.close()
    }
  } finally {
    await admin.query(`drop database if exists ${name} with (force)`)
    await admin.end()
  }
}

const configOf = (threadId: string) => ({ configurable: { thread_id: threadId } })

function graphOf(checkpointer: BaseCheckpointSaver, onStep: () => void = () => {}) {
  return new StateGraph(MessagesAnnotation)
    .addNode('say', () => {
      onStep()
      return { messages: [new AIMessage({ id: randomUUID(), content: text() })] }
    })
    .addEdge(START, 'say')
    .addConditionalEdges('say', ({ messages }) => (messages.length < STEPS ? 'say' : END), ['say', END])
    .compile({ checkpointer })
}

/** 1,000 characters that no compression makes much of. */
function text(): string {
  return randomBytes(750).toString('base64')
}

/** Milliseconds of each step, by the clock and of the processor. */
async function grow({ saver, threadId }: Opened): Promise<{ times: number[]; cpu: number[] }> {
  const began: number[] = []
  const used: number[] = []
  const graph = graphOf(saver, () => {
    began.push(performance.now())
    const { user, system } = process.cpuUsage()
    used.push((user + system) / 1_000)
  })
  await graph.invoke(
    { messages: [] },
    { ...configOf(threadId), durability: 'sync', recursionLimit: STEPS + 10 },
  )
  const between = (all: number[]) => all.slice(1).map((at, index) => at - (all[index] ?? at))
  return { times: between(began), cpu: between(used) }
}

async function bytesOf(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ relname: string; bytes: string }>(
      `select relname, pg_total_relation_size(oid)::text as bytes from pg_class
      where relkind = 'r' and relname like 'checkpoint%' and relname <> 'checkpoint_migrations'`,
    )
    return rows.reduce((sum, { bytes }) => sum + Number(bytes), 0)
  } finally {
    await client.end()
  }
}

async function medianOf(times: number, work: () => Promise<unknown>): Promise<number> {
  const taken: number[] = []
  for (let i = 0; i < times; i++) {
    const from = performance.now()
    await work()
    taken.push(performance.now() - from)
  }
  return median(taken)
}

function mean(numbers: number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}

async function main(): Promise<void> {
  const sides: Record<string, (url: string) => Promise<Opened>> = {
    ...(values.ours ? {} : { PostgresSaver: stock }),
    Holdpoint: ours,
  }
  const figures: Record<string, Figures[]> = {}
  for (let round = 0; round < Number(values.rounds); round++)
    for (const [side, open] of Object.entries(sides)) (figures[side] ??= []).push(await measure(open))
  const medians = Object.entries(figures).map(([side, rounds]) => {
    const of = (key: keyof Figures) => median(rounds.map((one) => one[key]))
    const [early, late] = [of('msEarly'), of('msLate')]
    return {
      side,
      steps: STEPS,
      KB: Math.round(of('bytes') / 1_000),
      'ms a step at 10': Number(early.toFixed(2)),
      [`ms a step at ${STEPS}`]: Number(late.toFixed(2)),
      ratio: Number(median(rounds.map(({ msEarly, msLate }) => msLate / msEarly)).toFixed(2)),
      'CPU ms early': Number(of('cpuEarly').toFixed(2)),
      'CPU ms late': Number(of('cpuLate').toFixed(2)),
      'getState ms': Number(of('msGetState').toFixed(1)),
    }
  })
  if (values.json) console.log(JSON.stringify(medians))
  else console.table(medians)
}

await main()
