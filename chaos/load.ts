import { randomUUID } from 'node:crypto'
import { type Door, NoAnswer, pause } from './door.ts'
import type { Random } from './random.ts'
import type { Readers } from './readers.ts'
import { GRAPHS, type Graph, type Script, taskOf, writeScript } from './script.ts'
import type { Tally } from './tally.ts'

/** A run that a server has acknowledged. */
export interface Acknowledged {
  threadId: string
  runId: string
  tag: string
}

export interface Load {
  /** By tag: also those of requests that nobody acknowledged. */
  scripts: Map<string, Script>
  acknowledged: Acknowledged[]
  /** Threads on which everything has ended. */
  settled(): number
  started(): number
  run(): Promise<void>
}

interface LoadOptions {
  runs: number
  /** Threads that are busy or held at a time. */
  concurrency: number
  /** From 0 to 1: how much of the faults is over. Load and faults go on together, and more runs come until both are over. */
  faults(): number
  door: Door
  readers: Readers
  random: Random
  tally: Tally
  signal: AbortSignal
}

/** A part of the runs goes to a thread that has had one, or still has. */
const SAME_THREAD = 0.3
/** A part is started and streamed by one request. */
const STREAMED = 0.3
const LOOK_EVERY_MS = 250
/** While the load is ahead of the faults, so many threads keep the servers busy. */
const TRICKLE = 4
/** How far ahead that is. */
const LEAD = 0.03

interface ThreadOfOurs {
  id: string
  graph: Graph
}

export function createLoad(options: LoadOptions): Load {
  const { runs, concurrency, door, readers, tally, signal } = options
  const random = options.random.fork('load')
  const scripts = new Map<string, Script>()
  const acknowledged: Acknowledged[] = []
  const threads: ThreadOfOurs[] = []
  const active = new Map<string, number>()
  let started = 0
  let settled = 0

  const startOne = async (name: string, thread: ThreadOfOurs, random: Random) => {
    for (let tries = 0; ; tries++) {
      const tag = `${name}${'abcdefghijklmnopqrstuvwxyz'[tries % 26]}`
      const script = writeScript(random.fork(tag), tag, thread.graph)
      scripts.set(tag, script)
      const run = (await begin(thread.id, script, random)) ?? (await find(thread.id, tag))
      if (run === undefined) {
        tally.add('starts that nobody acknowledged')
        continue
      }
      acknowledged.push({ threadId: thread.id, runId: run.runId, tag })
      readers.follow(thread.id, run.runId, run.stream)
      return
    }
  }

  const begin = async (threadId: string, script: Script, random: Random) => {
    const streamed = random.chance(STREAMED)
    const body = {
      assistant_id: script.graph,
      input: { messages: [{ role: 'user', content: taskOf(script) }] },
      metadata: { tag: script.tag },
      if_not_exists: 'create',
      durability: random.pick(['sync', 'sync', 'sync', 'async', 'async', 'exit']),
      stream_mode: random.pick([
        ['values'],
        ['updates', 'custom'],
        ['messages-tuple', 'custom'],
        ['values', 'tasks'],
      ]),
      stream_subgraphs: random.chance(0.3),
    }
    const path = `/threads/${threadId}/runs${streamed ? '/stream' : ''}`
    try {
      if (streamed) {
        const response = await door.open(path, { method: 'POST', body, signal })
        const runId = /runs\/([0-9a-f-]{36})/.exec(response.headers.get('content-location') ?? '')?.[1]
        if (response.status === 200 && runId !== undefined) return { runId, stream: response }
        throw new Error(`A run was refused with ${response.status}: ${await response.text()}`)
      }
      const answer = await door.ask('POST', path, body)
      if (answer.status !== 200) throw new Error(`A run was refused with ${answer.status}: ${answer.text}`)
      return { runId: answer.json<{ run_id: string }>().run_id, stream: undefined }
    } catch (error) {
      if (error instanceof NoAnswer) return undefined
      throw error
    }
  }

  /** What a careful client does that got no answer: it looks whether the run is there. */
  const find = async (threadId: string, tag: string) => {
    const answer = await door.insist('GET', `/threads/${threadId}/runs?limit=1000`)
    if (answer.status === 404) return undefined
    const list = answer.json<{ run_id: string; metadata: { tag?: string } }[]>()
    const runId = list.find(({ metadata }) => metadata.tag === tag)?.run_id
    return runId === undefined ? undefined : { runId, stream: undefined }
  }

  /** Takes the threads away on which nothing goes on any more. */
  const look = async () => {
    const asked = [...active]
    if (asked.length === 0) return
    const body = { ids: asked.map(([id]) => id), limit: 1_000 }
    const answer = await door.insist('POST', '/threads/search', body)
    const found = new Map(
      answer
        .json<{ thread_id: string; status: string }[]>()
        .map(({ thread_id, status }) => [thread_id, status]),
    )
    for (const [id, startedBefore] of asked) {
      const status = found.get(id)
      // A run that was started after the question is not in the answer.
      if ((status !== 'idle' && status !== 'error') || active.get(id) !== startedBefore) continue
      active.delete(id)
      settled++
    }
  }

  return {
    scripts,
    acknowledged,
    settled: () => settled,
    started: () => started,
    async run() {
      const starting = new Set<Promise<void>>()
      const failures: unknown[] = []
      const more = () => started < runs || options.faults() < 1
      const most = () =>
        started / runs > options.faults() + LEAD ? Math.min(TRICKLE, concurrency) : concurrency
      while (more() || starting.size > 0 || active.size > 0) {
        if (failures.length > 0) throw failures[0]
        while (more() && starting.size + active.size < most()) {
          const own = random.fork(`run ${started}`)
          const again = own.chance(SAME_THREAD) && threads.length > 0
          const thread = again ? own.pick(threads) : { id: randomUUID(), graph: own.pick(GRAPHS) }
          if (!again) threads.push(thread)
          const name = `r${started++}`
          const start = startOne(name, thread, own)
            .then(() => void active.set(thread.id, started))
            .catch((error: unknown) => void failures.push(error))
            .finally(() => starting.delete(start))
          starting.add(start)
        }
        await pause(signal, LOOK_EVERY_MS)
        await look()
      }
      if (failures.length > 0) throw failures[0]
    },
  }
}
