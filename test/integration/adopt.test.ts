import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { HumanMessage } from '@langchain/core/messages'
import { Command } from '@langchain/langgraph'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { verifyIn } from '../../storage/verify-storage.ts'
import { cloneDatabase, type TestDatabase } from '../support/database.ts'
import { builder } from '../support/former/graph.ts'
import { startTestServer, temporaryDirectory, TEST_SECRET, type TestServer } from '../support/server.ts'

const PROJECT = new URL('../support/former/langgraph.json', import.meta.url).pathname

interface Values {
  turns: number
  messages: { content: string }[]
}

describe.skipIf(inject('services').postgres === null)('a database that PostgresSaver wrote', () => {
  let database: TestDatabase
  let pool: pg.Pool
  let server: TestServer
  let dataDir: string
  const [ended, asked, nested] = [newId(), newId(), newId()]
  let before: unknown[]

  beforeAll(async () => {
    database = await cloneDatabase('template0', 'adopt')
    dataDir = await temporaryDirectory()
    pool = new pg.Pool({ connectionString: database.url, max: 2 })
    const stock = new PostgresSaver(pool)
    await stock.setup()
    const graph = builder.compile({ checkpointer: stock })
    const on = (thread_id: string) => ({ configurable: { thread_id } })
    const say = (threadId: string, content: string) =>
      graph.invoke({ messages: [new HumanMessage({ id: content, content })] }, on(threadId))
    const answer = (threadId: string, resume: string) => graph.invoke(new Command({ resume }), on(threadId))
    for (const id of [ended, asked, nested, 'named-by-hand']) await say(id, 'one')
    for (const id of [ended, nested]) await answer(id, 'first')
    await answer(ended, 'yes')
    await say(ended, 'two')
    await answer(ended, 'second')
    await answer(ended, 'yes')
    before = (await Array.fromAsync(graph.getStateHistory(on(ended)))).map(({ values }) => contentsOf(values))
    // PostgreSQL puts a row that was changed wherever there is room.
    await pool.query(
      'update checkpoints set metadata = metadata where checkpoint_id in (select checkpoint_id from checkpoints order by checkpoint_id limit 6)',
    )
  })

  afterAll(async () => {
    await server?.close()
    await pool?.end()
    await rm(dataDir, { recursive: true, force: true })
    await database?.drop()
  })

  test('its threads are adopted by a command, with what they ask', async () => {
    const adopted = await holdpoint('storage', 'adopt', '--graph', 'talk')
    expect(adopted).toBe("left: named-by-hand is no UUID, and a thread's id is one\n3 threads adopted\n")
    expect(await holdpoint('storage', 'adopt', '--graph', 'talk')).toMatch(/\n0 threads adopted\n$/)
    server = await startTestServer({
      databaseUrl: database.url,
      dataDir,
      env: { HOLDPOINT_CONFIG: PROJECT, HOLDPOINT_SECRET: TEST_SECRET },
    })
    const threads = await server.client.threads.search<Values>()
    const told = Object.fromEntries(
      threads.map(({ thread_id: id, status, interrupts, values }) => {
        const questions = Object.values(interrupts).flatMap((list) => list.map(({ value }) => value))
        return [id, [status, questions, values.turns]]
      }),
    )
    expect(told).toEqual({
      [ended]: ['idle', [], 2],
      [asked]: ['interrupted', ['well?'], undefined],
      [nested]: ['interrupted', ['sure?'], 1],
    })
  })

  test('states and histories are what they were', async () => {
    const history = await server.client.threads.getHistory<Values>(ended, { limit: 100 })
    expect(history.map(({ values }) => contentsOf(values))).toEqual(before)
    const state = await server.client.threads.getState<Values>(ended)
    expect(state.values.messages.map(({ content }) => content)).toEqual([
      'one',
      'first',
      'prepared',
      'confirmed yes',
      'two',
      'second',
      'confirmed yes',
    ])
    const inner = await server.client.threads.getState(nested, undefined, { subgraphs: true })
    expect(inner.next).toEqual(['check'])
    expect(inner.tasks[0]?.state).toMatchObject({ next: ['confirm'] })
  })

  test('threads that asked are answered, in the graph and in its subgraph, and go on', async () => {
    const { client } = server
    const answer = (id: string, resume: string) => client.runs.wait(id, 'talk', { command: { resume } })
    await answer(asked, 'late')
    await answer(asked, 'yes')
    await answer(nested, 'late')
    for (const id of [asked, nested]) {
      const { status, values } = await client.threads.get<Values>(id)
      expect([status, values.turns, values.messages.map(({ content }) => content).slice(-2)]).toEqual([
        'idle',
        1,
        ['prepared', id === asked ? 'confirmed yes' : 'confirmed late'],
      ])
    }
    const fork = (await client.threads.getHistory<Values>(ended, { limit: 100 })).find(
      ({ next, values }) => next[0] === 'ask' && values.turns === 1,
    )
    await client.runs.wait(ended, 'talk', { input: null, checkpointId: fork?.checkpoint.checkpoint_id ?? '' })
    expect((await client.threads.get(ended)).status).toBe('interrupted')
    await answer(ended, 'forked')
    const forked = await client.threads.getState<Values>(ended)
    expect(forked.values.messages.at(-1)?.content).toBe('forked')
    expect(forked.next).toEqual(['check'])

    const versions = async (id: string) => {
      const { rows } = await pool.query<{ state: string }>(
        `select state from checkpoints where thread_id = $1 and checkpoint_ns = '' order by position desc limit 1`,
        [id],
      )
      return (JSON.parse(rows[0]?.state ?? '[]') as unknown[][])[2]?.map((version) => typeof version)
    }
    for (const id of [ended, asked, nested]) expect(new Set(await versions(id))).toEqual(new Set(['number']))
    const fresh = (await client.threads.create()).thread_id
    await client.runs.wait(fresh, 'talk', { input: { messages: [{ role: 'user', content: 'new' }] } })
    expect(new Set(await versions(fresh))).toEqual(new Set(['string']))
    expect((await verifyIn(pool)).faults).toEqual([])
    expect(await holdpoint('storage', 'verify')).toMatch(/^ok: \d+ chunks\n$/)
  })

  async function holdpoint(...args: string[]): Promise<string> {
    const { PATH = '' } = process.env
    const env = {
      PATH,
      DATABASE_URL: database.url,
      HOLDPOINT_SECRET: TEST_SECRET,
      HOLDPOINT_DATA_DIR: dataDir,
    }
    return (await promisify(execFile)(process.execPath, ['server/bin.ts', ...args], { env })).stdout
  }
})

/** Messages without the ids that some of them get in each reading. */
function contentsOf({ messages = [], ...values }: Partial<Values>): unknown {
  return { ...values, messages: messages.map(({ content }) => content) }
}
