import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { Command } from '@langchain/langgraph'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import pg from 'pg'
import { migrate } from '../storage/migrate.ts'
import { Checkpointer } from '../storage/checkpointer.ts'
import { openPostgres } from '../storage/postgres.ts'
import { withRecord } from '../storage/record.ts'
import { auditKeys } from '../runtime/audit.ts'
import { graphs } from './project/graphs.ts'
import type { GraphName, PipeAnswer, PipeRequest } from './target.ts'

/**
 * The bare graph behind a pipe: `graph.invoke` and `graph.getState` for whoever asks, on LangGraph's saver or on ours,
 * with as many connections as the server has. `node bench/bare.ts bare|saver DATABASE_URL SOCKET`
 */

const POOL_SIZE = 10
const [side, databaseUrl = '', socket = ''] = process.argv.slice(2)

const saver = side === 'bare' ? await stock() : await ours()

async function stock() {
  const stockSaver = new PostgresSaver(new pg.Pool({ connectionString: databaseUrl, max: POOL_SIZE }))
  await stockSaver.setup()
  return stockSaver
}

async function ours() {
  const connection = await openPostgres(databaseUrl, { poolSize: POOL_SIZE, connectTimeoutMs: 5_000 })
  await migrate(connection)
  return new Checkpointer(withRecord(connection, auditKeys('the secret of a benchmark that records nothing')))
}

/** What graphs of any state have in common. */
interface AnyGraph {
  invoke(input: unknown, options: object): Promise<unknown>
  getState(config: object): Promise<{ values: unknown }>
}

async function answer({ id, op, graph: name, thread, input, resume }: PipeRequest): Promise<PipeAnswer> {
  const graph = (graphs as unknown as Record<GraphName, AnyGraph>)[name]
  const configurable = { thread_id: thread, __pregel_checkpointer: saver }
  if (op === 'state') return { id, value: (await graph.getState({ configurable })).values }
  const asked = resume === undefined ? input : new Command({ resume })
  return { id, value: await graph.invoke(asked, { configurable, durability: 'sync', recursionLimit: 5_000 }) }
}

createServer((connection) => {
  createInterface({ input: connection }).on('line', (line) => {
    const request = JSON.parse(line) as PipeRequest
    answer(request)
      .catch((error: unknown): PipeAnswer => ({ id: request.id, error: String(error) }))
      .then((reply) => connection.write(`${JSON.stringify(reply)}\n`), console.error)
  })
  connection.on('error', () => {})
}).listen(socket, () => process.stdout.write(`listens on unix:${socket}\n`))
process.on('SIGTERM', () => process.exit(0))
