import { randomUUID } from 'node:crypto'
import type { RunnableConfig } from '@langchain/core/runnables'
import {
  AIMessage,
  type BaseMessage,
  HumanMessage,
  RemoveMessage,
  ToolMessage,
} from '@langchain/core/messages'
import {
  Annotation,
  Command,
  END,
  interrupt,
  messagesStateReducer,
  REMOVE_ALL_MESSAGES,
  START,
  StateGraph,
  type StateSnapshot,
} from '@langchain/langgraph'
import { type BaseCheckpointSaver, MemorySaver } from '@langchain/langgraph-checkpoint'
import { expect, test } from 'vitest'
import { verifyIn } from '../../../storage/verify-storage.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import {
  claimOf,
  createRun,
  createThread,
  createWorker,
  endedWell,
  useStorage,
} from '../../support/storage.ts'

const SEEDS = 12
const OPERATIONS = 10
/** Of long lists, so that they have pages of pages. */
const LONG = 60

const messages = Annotation<BaseMessage[]>({ reducer: messagesStateReducer, default: () => [] })
const State = Annotation.Root({
  messages,
  log: Annotation<string[]>({ reducer: (before, added) => [...before, ...added], default: () => [] }),
  turn: Annotation<number>({ reducer: (sum, added) => sum + added, default: () => 0 }),
  things: Annotation<unknown>(),
  // MemorySaver cannot read a write that is bytes and nothing else.
  bytes: Annotation<{ data: Uint8Array }>(),
})
const Inner = Annotation.Root({ messages, turn: State.spec.turn })
type Of = typeof State.State

/** MemorySaver keeps each checkpoint whole: whatever it gives back is what was put there. */
onBothDatabases((database) => {
  const storage = useStorage(database)

  for (let seed = 1; seed <= SEEDS; seed++) {
    test(
      `whatever is done with a thread, it reads as MemorySaver reads it (${seed})`,
      { timeout: 60_000 },
      async () => {
        const threadId = await createThread(storage.mine)
        const memory = new MemorySaver()
        const theirs: Side = { run: (work) => work(memory), update: (work) => work(memory) }
        const ours: Side = {
          run: (work) => running(threadId, work),
          update: (work) => drafting(threadId, work),
        }
        const random = randomOf(seed)
        for (let done = 0; done < OPERATIONS; done++) {
          const choice = random()
          const [expected, said] = await operate(theirs, memory, threadId, seed * 1_000 + done, choice)
          const { plain } = storage.mine.checkpoints
          const [got, told] = await operate(ours, plain, threadId, seed * 1_000 + done, choice)
          expect(told).toBe(said)
          expect(got).toEqual(expected)
        }
        expect((await verifyIn(storage.mine.db)).faults).toEqual([])
      },
    )
  }

  async function running<T>(threadId: string, work: (saver: BaseCheckpointSaver) => Promise<T>): Promise<T> {
    await createRun(storage.mine, threadId)
    const run = await claimOf(storage.mine, await createWorker(storage.mine), threadId)
    const failures: Error[] = []
    const { saver } = storage.mine.checkpoints.fenced(run, (error) => failures.push(error))
    try {
      return await work(saver)
    } finally {
      expect(failures).toEqual([])
      expect(await storage.mine.queue.settle(run, endedWell())).toBe(true)
    }
  }

  async function drafting<T>(threadId: string, work: (saver: BaseCheckpointSaver) => Promise<T>): Promise<T> {
    const draft = await storage.mine.checkpoints.draft(threadId, 'somebody')
    const done = await work(draft.saver)
    expect(await draft.commit({ values: '{}', interrupts: {}, paused: false })).toBe(true)
    return done
  }
})

interface Side {
  /** With the saver of a run. */
  run<T>(work: (saver: BaseCheckpointSaver) => Promise<T>): Promise<T>
  /** With the saver of a change by hand. */
  update<T>(work: (saver: BaseCheckpointSaver) => Promise<T>): Promise<T>
}

/** The same on either side: all that is chosen comes from the seed and from what is in the thread. */
async function operate(
  side: Side,
  reader: BaseCheckpointSaver,
  threadId: string,
  seed: number,
  choice: number,
): Promise<[history: unknown[], error: string]> {
  const random = randomOf(seed)
  const durability = pick(random, ['sync', 'async', 'exit'] as const)
  // Under `async` LangGraph asks for a checkpoint to be stored when the one before it is: by then the graph went on.
  const in_place = durability !== 'async'
  const thread = { configurable: { thread_id: threadId } }
  const at = (place: RunnableConfig) => ({
    configurable: { ...place.configurable, in_place },
    recursionLimit: 40,
    // A run that comes to nothing stores the checkpoint once more under `exit`; MemorySaver then has it for its own parent.
    durability: place === thread ? durability : 'sync',
  })
  const go = (input: Parameters<ReturnType<typeof graphOf>['invoke']>[0], place: RunnableConfig = thread) =>
    side.run((saver) => graphOf(saver).invoke(input, at(place)))
  const update = (place: RunnableConfig, values: typeof State.Update) =>
    side.update((saver) => graphOf(saver).updateState(place, values, 'edit'))

  const history = await Array.fromAsync(graphOf(reader).getStateHistory(thread))
  const head = history[0]
  const past = history[Math.floor(random() * history.length)]
  const ids = head?.tasks.flatMap(({ interrupts }) => interrupts.map(({ id }) => id ?? '')) ?? []
  let error = ''
  try {
    if (head === undefined || past === undefined || (choice < 0.3 && head.next.length === 0))
      await go({ messages: [said(random)], log: [`in ${seed}`] })
    else if (choice < 0.6 && ids.length > 0)
      await go(new Command({ resume: Object.fromEntries(ids.map((id) => [id, `answer ${seed}`])) }))
    else if (choice < 0.7) await update(thread, { messages: [said(random)], log: ['by hand'] })
    else if (choice < 0.85) await go(null, past.config)
    else await go(null, await update(past.config, { log: [`fork ${seed}`], bytes: bytes(random) }))
  } catch (cause) {
    error = cause instanceof Error ? cause.name : String(cause)
  }
  return [await historyOf(reader, threadId), error]
}

function graphOf(checkpointer: BaseCheckpointSaver) {
  const inner = new StateGraph(Inner)
    .addNode('think', ({ turn }) => ({ messages: [said(randomOf(turn + 77))], turn: 1 }))
    .addNode('ask', ({ turn }) => {
      const answer = turn % 3 === 0 ? interrupt<unknown, string>({ question: turn }) : 'not asked'
      return { messages: [new AIMessage({ id: `ask-${turn}`, content: answer })] }
    })
    .addEdge(START, 'think')
    .addEdge('think', 'ask')
    .addEdge('ask', END)
    .compile()
  return new StateGraph(State)
    .addNode('edit', edit)
    .addNode('inner', inner)
    .addNode('side', ({ turn }: Of) => ({ log: [`side ${turn}`], things: things(turn) }))
    .addNode('end', ({ turn }: Of) => ({ turn: 1, bytes: bytes(randomOf(turn)) }))
    .addEdge(START, 'edit')
    .addEdge('edit', 'inner')
    .addEdge('edit', 'side')
    .addEdge(['inner', 'side'], 'end')
    .addConditionalEdges('end', ({ turn }: Of) => (turn % 3 === 0 ? 'edit' : END), ['edit', END])
    .compile({ checkpointer })
}

/** Appends, changes in place, replaces and removes. */
function edit(
  { messages: list, turn, log }: Of,
  { configurable }: RunnableConfig<{ in_place?: boolean }>,
): Partial<typeof State.Update> {
  const random = randomOf(turn * 31 + list.length * 7 + log.length)
  const some = list[Math.floor(random() * list.length)]
  const choice = random()
  if (list.length === 0 || choice < 0.3)
    return { messages: Array.from({ length: 1 + Math.floor(random() * LONG) }, () => said(random)), turn: 1 }
  if (some?.id === undefined || choice < 0.4) return { messages: [said(random)], turn: 1 }
  if (choice < 0.6 && configurable?.in_place === true) {
    some.content = `changed in place ${random()} `.repeat(5)
    some.additional_kwargs['touched'] = { at: turn }
    return { messages: [some], turn: 1 }
  }
  if (choice < 0.75)
    return { messages: [new HumanMessage({ id: some.id, content: `instead of ${some.id}` })], turn: 1 }
  if (choice < 0.95) return { messages: [new RemoveMessage({ id: some.id })], turn: 1 }
  return { messages: [new RemoveMessage({ id: REMOVE_ALL_MESSAGES }), said(random)], turn: 1 }
}

function said(random: () => number): BaseMessage {
  const id = `m${Math.floor(random() * 1e9)}`
  const content = 'word '.repeat(1 + Math.floor(random() * 60)) + random()
  return pick(random, [
    () => new HumanMessage({ id, content, name: 'Ada' }),
    () =>
      new AIMessage({
        id,
        content: [{ type: 'text', text: content }],
        tool_calls: [{ id, name: 'f', args: { lc: 1, n: [1] } }],
      }),
    () =>
      new AIMessage({ id, content, usage_metadata: { input_tokens: 1, output_tokens: 2, total_tokens: 3 } }),
    () => new ToolMessage({ id, content, tool_call_id: 'call', artifact: { rows: [1, 2] }, status: 'error' }),
    () => new AIMessage({ id, content: '' }),
  ])()
}

function things(turn: number): unknown {
  const all = [
    new Map<string, unknown>([
      ['a', new Set([1, 'two'])],
      ['b'.repeat(80), undefined],
    ]),
    [undefined, null, new Date(turn), -0, 1e21, 'x'.repeat(200), [], {}],
    { when: new Date(0), missing: undefined, deep: { deeper: [new Map([[1, 2]])] }, text: 'y'.repeat(100) },
    Array.from({ length: 700 }, (_, index) => index * 1.5),
    Array.from(
      { length: 300 },
      (_, index) => `line ${index % 7} of a log that somebody keeps in the state of a graph`,
    ),
    new Error('kept'),
    /re+/gi,
    'plain',
    [Uint8Array.from([1, 2, 3]), { b: Uint8Array.from([255]) }],
  ]
  return all[turn % all.length]
}

function bytes(random: () => number): { data: Uint8Array } {
  return { data: Uint8Array.from({ length: Math.floor(random() * 200) }, () => Math.floor(random() * 256)) }
}

async function historyOf(saver: BaseCheckpointSaver, threadId: string): Promise<unknown[]> {
  const graph = graphOf(saver)
  const config = { configurable: { thread_id: threadId } }
  const history = await Array.fromAsync(graph.getStateHistory(config))
  const head = await graph.getState(config, { subgraphs: true })
  return named([...history, head])
}

/** Ids that are made anew are numbered as they come. */
function named(snapshots: StateSnapshot[]): unknown[] {
  const ids = new Map<string, string>()
  const name = (text: string) =>
    text.replaceAll(
      /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b/g,
      (id) => {
        const known = ids.get(id) ?? `id ${ids.size}`
        ids.set(id, known)
        return known
      },
    )
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return name(value)
    if (Array.isArray(value)) return value.map(walk)
    if (value instanceof Map) return new Map([...value].map(([key, one]) => [walk(key), walk(one)]))
    if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
      return value
    const {
      createdAt: _,
      run_id: _run,
      graph_id: _graph,
      written_by: _by,
      __pregel_checkpointer: _saver,
      in_place: _in,
      ...rest
    } = value as Record<string, unknown>
    return Object.fromEntries(Object.entries(rest).map(([key, one]) => [name(key), walk(one)]))
  }
  return walk(snapshots) as unknown[]
}

function pick<T>(random: () => number, list: readonly T[]): T {
  const one = list[Math.floor(random() * list.length)]
  if (one === undefined) throw new Error(`Nothing to pick from: ${randomUUID()}`)
  return one
}

/** Mulberry32. */
function randomOf(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b9)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
