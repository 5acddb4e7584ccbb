import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, inject, test, vi } from 'vitest'
import { hashEvent, type Reading, readRun } from '../../chaos/reader.ts'
import { createRandom } from '../../chaos/random.ts'
import { createTally } from '../../chaos/tally.ts'
import { NoAnswer } from '../../chaos/door.ts'
import type { ServerProcess } from '../../chaos/server-process.ts'
import { type Started, useServers, WAIT } from './stage.ts'

/** Time for a process that wakes up to do whatever it still would. */
const AWAKE_MS = 1_500

const TABLES = {
  runs: 'select * from runs where thread_id = $1 order by position',
  threads: 'select * from threads where thread_id = $1',
  events: 'select * from events where thread_id = $1 order by run_id, seq',
  holds: 'select * from holds where thread_id = $1 order by approval_id',
  effects: 'select * from effects where thread_id = $1 order by created_at',
  checkpoints: 'select * from checkpoints where thread_id = $1::text order by position',
  blobs: 'select hash, refs from checkpoint_chunks where thread_id = $1::uuid order by hash',
  writes: 'select * from checkpoint_writes where thread_id = $1::text order by checkpoint_id, task_id, idx',
}

describe.skipIf(inject('services').postgres === null)('a process that sleeps past its lease', () => {
  const stage = useServers()

  async function tables({ threadId }: Started) {
    const entries = Object.entries(TABLES).map(async ([name, sql]) => [name, await stage.rows(sql, threadId)])
    return Object.fromEntries(await Promise.all(entries)) as Record<string, unknown[]>
  }

  /** Another one brings the run to its end; then the sleeper wakes up, and nothing of what is stored changes. */
  async function outlive(zombie: ServerProcess, started: Started): Promise<void> {
    zombie.signal('SIGSTOP')
    const other = await stage.server()
    const [run] = await stage.ended(started.threadId)
    expect(run).toMatchObject({ attempt: 2, lease_token: '2' })
    const before = await tables(started)
    expect(before['events']?.length).toBeGreaterThan(3)
    zombie.signal('SIGCONT')
    await sleep(AWAKE_MS)
    expect(await tables(started)).toEqual(before)
    expect(await stage.times(started.note)).toBe(1)
    // It is no ghost: it works on, under a lease that it has again.
    other.signal('SIGKILL')
    const next = await stage.run(zombie, [[{ tool: 'journal_once' }]])
    await stage.ended(next.threadId)
    expect(await stage.times(next.note)).toBe(1)
    zombie.signal('SIGKILL')
  }

  test('between an intent and its effect: the probe keeps it from doing what the other one does', async () => {
    const zombie = await stage.server()
    const started = await stage.run(zombie, [[{ tool: 'journal_once', before: 400, after: 100 }]])
    await vi.waitFor(async () => expect(await stage.effects(started.threadId)).toHaveLength(1), WAIT)
    await outlive(zombie, started)
  })

  test('after its effect: its outcome is refused, and the other one has read it by then', async () => {
    const zombie = await stage.server()
    const started = await stage.run(zombie, [[{ tool: 'journal_once', before: 0, after: 600 }]])
    await vi.waitFor(async () => expect(await stage.times(started.note)).toBe(1), WAIT)
    await outlive(zombie, started)
  })

  test('in front of a checkpoint: it is not stored', async () => {
    const zombie = await stage.server('checkpoint.put:before=delay200@3')
    const started = await stage.run(zombie, [[{ tool: 'journal_once' }]])
    await vi.waitFor(async () => expect(await stage.checkpoints(started.threadId)).not.toEqual([]), WAIT)
    await outlive(zombie, started)
  })

  test('inside the transaction that ends the run: the database takes the lock away from it', async () => {
    const zombie = await stage.server('run.settle:before=delay800')
    const started = await stage.run(zombie, [[{ tool: 'journal_once' }]])
    await vi.waitFor(
      async () =>
        expect(
          await stage.rows(
            `select 1 from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`,
          ),
        ).toHaveLength(1),
      WAIT,
    )
    await outlive(zombie, started)
  })

  test('a reader that its dying server leaves goes on at another one: each id once, in order, to the end', async () => {
    const second = await stage.server()
    await stage.asleep(second)
    const first = await stage.server()
    let at = first
    const calls = Array.from({ length: 6 }, () => [{ tool: 'journal_once', before: 60, after: 60 } as const])
    const { threadId } = await stage.run(first, calls, 'chaos_react', {
      stream_mode: ['updates', 'custom', 'messages-tuple'],
    })
    const [run] = await stage.runs(threadId)
    const reading: Reading = { threadId, runId: run?.run_id ?? '', seen: [], faults: [], ended: false }
    const tally = createTally()
    const reads = readRun(
      {
        random: createRandom('reader'),
        tally,
        signal: AbortSignal.timeout(60_000),
        door: {
          ask: () => Promise.reject(new Error('A reader only reads.')),
          insist: () => Promise.reject(new Error('A reader only reads.')),
          async open(path, { lastEventId, signal }) {
            const headers: Record<string, string> =
              lastEventId === undefined ? {} : { 'last-event-id': `${lastEventId}` }
            try {
              return await fetch(`${at.url}${path}`, { headers, signal })
            } catch (cause) {
              throw new NoAnswer('gone', { cause })
            }
          },
        },
      },
      reading,
    )
    await vi.waitFor(() => expect(reading.seen.length).toBeGreaterThan(8), WAIT)
    at = second
    first.signal('SIGKILL')
    second.signal('SIGCONT')
    await reads
    expect((await stage.ended(threadId))[0]?.attempt).toBe(2)
    // What this stream sends: the frames of event streaming v2 are for others.
    const stored = (await stage.events(threadId)).filter(
      ({ event }) => event !== '__end__' && !event.startsWith('v2|'),
    )
    expect(reading).toMatchObject({ faults: [], ended: true })
    expect(reading.seen).toEqual(stored.map(({ event, data }) => hashEvent(event, data)))
    expect(tally.count('readers that were cut off')).toBeGreaterThan(0)
  })
})
