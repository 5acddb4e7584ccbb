import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Client } from '@langchain/langgraph-sdk'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { type Graph, taskOf } from '../../chaos/script.ts'
import { systemAssistantId } from '../../runtime/assistant.ts'
import { newId } from '../../runtime/ids.ts'
import { httpOn } from '../support/stage.ts'
import { TEST_SECRET } from '../support/server.ts'
import { type Call, useServers, WAIT } from './stage.ts'

const LOADERS = 3
const ROUNDS = 4
const KEEP = [{}, { keep_last: 3 }, { older_than_minutes: 0.01 }, { keep_last: 2, older_than_minutes: 0.005 }]

interface State {
  values: { messages?: unknown[] }
  next: string[]
  tasks: unknown[]
}

describe.skipIf(inject('services').postgres === null)('pruning through the door', () => {
  const stage = useServers()
  let url = ''
  let client: Client
  beforeAll(async () => {
    url = (await stage.server()).url
    client = new Client({ apiUrl: url, apiKey: null, callerOptions: { maxRetries: 0 } })
  })

  const input = (turns: Call[][], graph: Graph) => {
    const tag = newId().slice(-12)
    const script = turns.map((calls, turn) =>
      calls.map((call, index) => ({ before: 0, after: 0, note: `${tag}.${turn}.${index}`, ...call })),
    )
    const content = taskOf({ tag, graph, turns: script })
    return { note: `${tag}.0.0`, input: { messages: [{ role: 'user', content }] } }
  }
  /** Runs it to its end or to its hold; returns the note of its first call. */
  const say = async (threadId: string, turns: Call[][], graph: Graph = 'chaos_react') => {
    const { note, ...run } = input(turns, graph)
    await client.runs.wait(threadId, graph, { ...run, ifNotExists: 'create' })
    return note
  }
  const usual: Call[][] = [[{ tool: 'journal_none' }], [{ tool: 'journal_once' }]]
  const stateOf = async (threadId: string): Promise<State> => {
    const { values, next, tasks } = await client.threads.getState<State['values']>(threadId, undefined, {
      subgraphs: true,
    })
    // What tasks say of their subgraph's parents is pruned with those.
    const told = tasks.map(({ id, name, interrupts, state }) => ({
      id,
      name,
      interrupts,
      inner: state?.values,
    }))
    return { values, next, tasks: told }
  }
  const bytesOf = async (threadId: string): Promise<number> => {
    const sizes = (await httpOn(url)('GET', `/threads/${threadId}/storage`)).json<{
      checkpoints: number
      channels: Record<string, number>
      writes: number
    }>()
    return sizes.checkpoints + sizes.writes + Object.values(sizes.channels).reduce((sum, one) => sum + one, 0)
  }
  const prune = async (what: object): Promise<number> => {
    const answer = await httpOn(url)('POST', '/threads/prune', { strategy: 'keep_latest', ...what })
    expect([answer.status, answer.text]).toEqual([200, expect.any(String)])
    return answer.json<{ pruned_count: number }>().pruned_count
  }

  test(
    'what waits is approved and runs once, forks go on, running runs are left alone, and room is won',
    { timeout: 150_000 },
    async () => {
      const [held, nested, forked, busy] = [newId(), newId(), newId(), newId()]
      const talk = async (threadId: string, runs: number) => {
        for (let run = 0; run < runs; run++) await say(threadId, usual)
      }
      await Promise.all([talk(held, 2), talk(nested, 2), talk(forked, 3)])
      const middle = (await client.threads.getHistory(forked, { limit: 40 }))[15]
      const fork = { checkpointId: middle?.checkpoint.checkpoint_id ?? '' }
      const { input: more } = input(usual, 'chaos_react')
      await client.runs.wait(forked, 'chaos_react', { input: more, ...fork })
      const notes = [
        await say(held, [[{ tool: 'journal_held' }], ...usual]),
        await say(nested, [[{ tool: 'journal_held' }], [{ tool: 'journal_none' }]], 'chaos_plan'),
      ]
      for (const threadId of [held, nested]) expect(await stage.threadStatus(threadId)).toBe('interrupted')
      const threads = [held, nested, forked]
      const before = await Promise.all(threads.map(stateOf))
      const sizes = await Promise.all(threads.map(bytesOf))

      let over = false
      const loads = Array.from({ length: LOADERS }, async () => {
        const threadId = newId()
        let runs = 0
        for (; !over || runs < 2; runs++) await say(threadId, usual)
        return { threadId, runs }
      })
      const long = say(busy, [
        [{ tool: 'journal_once', before: 1_500 }],
        [{ tool: 'journal_once', before: 1_500 }],
      ])
      await expect.poll(() => stage.threadStatus(busy), WAIT).toBe('busy')
      expect(await prune({ thread_ids: [busy] })).toBe(0)
      try {
        for (let round = 0; round < ROUNDS; round++) {
          const keep = KEEP[round % KEEP.length]
          await prune({ thread_ids: [...threads, busy], ...keep })
          await prune({ assistant_id: systemAssistantId('chaos_react'), ...keep })
        }
      } finally {
        over = true
      }
      const loaded = await Promise.all(loads)
      const once = await long
      for (const threadId of threads) expect(await prune({ thread_ids: [threadId] })).toBe(1)

      // Nothing that can be read has changed, and most of what was stored is gone.
      expect(await Promise.all(threads.map(stateOf))).toEqual(before)
      for (const [index, threadId] of threads.entries())
        expect(await bytesOf(threadId)).toBeLessThan((sizes[index] ?? 0) * 0.7)

      for (const [index, threadId] of [held, nested].entries()) {
        const [hold] = (await stage.holds(threadId)).filter(({ status }) => status === 'pending')
        const decided = await httpOn(url)('POST', `/approvals/${hold?.approval_id}/decisions`, {
          type: 'approve',
        })
        expect(decided.status).toBe(200)
        await stage.ended(threadId)
        expect(await stage.threadStatus(threadId)).toBe('idle')
        expect(await stage.times(notes[index] ?? '')).toBe(1)
      }
      expect(await stage.times(once)).toBe(1)
      for (const { threadId, runs } of [...loaded, { threadId: busy, runs: 1 }])
        expect(await stage.ended(threadId)).toHaveLength(runs)

      // From what is left a fork goes on, and an older one is said to be gone.
      await say(forked, usual)
      const [, , earlier] = await client.threads.getHistory(forked, { limit: 3 })
      const again = { checkpointId: earlier?.checkpoint.checkpoint_id ?? '' }
      await client.runs.wait(forked, 'chaos_react', { input: more, ...again })
      await stage.ended(forked)
      await expect(client.threads.getState(forked, fork.checkpointId)).rejects.toThrow(/404/)

      expect(await holdpoint('storage', 'verify')).toMatch(/^ok: \d+ chunks\n$/)
      const report = JSON.parse(await holdpoint('storage', 'report', '--json', '--top', '50')) as {
        threads: { id: string; checkpoints: number }[]
      }
      expect(report.threads.map(({ id }) => id).toSorted()).toEqual(
        [...threads, busy, ...loaded.map(({ threadId }) => threadId)].toSorted(),
      )
    },
  )

  async function holdpoint(...args: string[]): Promise<string> {
    const env = {
      PATH: process.env['PATH'] ?? '',
      DATABASE_URL: stage.databaseUrl(),
      HOLDPOINT_SECRET: TEST_SECRET,
    }
    return (await promisify(execFile)(process.execPath, ['server/bin.ts', ...args], { env })).stdout
  }
})
