import { END, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import { ToolNode } from '@langchain/langgraph/prebuilt'
import { z } from 'zod'
import { reactGraph } from '../../../graphs/react.ts'
import { defineTool, type Effect, type Tool, ToolError } from '../../../tools/define.ts'
import { toolsNamed } from '../../../tools/registry.ts'
import { happened, times } from '../grants/journal.ts'

const note = z.object({ note: z.string() })
const free = { description: 'Of a test.', schema: note, risk: 'low', effect: 'none' } as const

/** Says more than it declares, or something else. */
const typed = defineTool({
  ...free,
  name: 'typed',
  output: z.object({ total: z.number() }),
  run: ({ note: text }) => Promise.resolve({ total: text === 'wrong' ? text : 1, internal: 'left out' }),
})

/** Fails until it is asked for the third time. */
const flaky = (name: string, effect: Effect, retries: number) =>
  defineTool({
    ...free,
    name,
    effect: () => effect,
    retries,
    run: ({ note: text }) => {
      happened(`${name} ${text}`)
      if (text.startsWith('bad')) return Promise.reject(new ToolError('INVALID_ARGS', 'Say something else.'))
      if (times(`${name} ${text}`) < 3) return Promise.reject(new Error('The network is away.'))
      return Promise.resolve({ times: times(`${name} ${text}`) })
    },
  })

const keyed = (name: string, secrets: string[]) =>
  defineTool({
    ...free,
    name,
    secrets,
    run: ({ note: text }, call) => {
      const secret = call.secret('HOLDPOINT_TEST_KEY')
      if (text === 'longer') return Promise.resolve(call.secret('HOLDPOINT_TEST_LONGER_KEY'))
      if (text === 'throws') return Promise.reject(new ToolError('INTERNAL', `401 for ${secret}`))
      return Promise.resolve({ [`key ${secret}`]: `It says ${secret}, and has ${secret.length} characters.` })
    },
  })

const long = defineTool({
  ...free,
  name: 'long',
  outputLimit: 1_000,
  run: () => Promise.resolve({ lines: Array.from({ length: 1_000 }, (_, n) => `line ${n}`) }),
})

/** What it is told to throw has a megabyte. */
const wordy = defineTool({
  ...free,
  name: 'wordy',
  run: () => Promise.reject(new ToolError('INVALID_ARGS', `It begins here.${'x'.repeat(1_000_000)}`)),
})

/** Breaks off in the middle, and nobody can say what became of it. */
const lost = defineTool({
  ...free,
  name: 'lost',
  effect: 'once',
  timeoutMs: 500,
  run: () => Promise.reject(new Error('The network is away.')),
  probe: ({ note: text }) =>
    text === 'hangs'
      ? new Promise(() => {})
      : Promise.reject(new Error('Not even with the key sk-of-the-probe.')),
})

export const tools = [
  wordy,
  lost,
  typed,
  flaky('flaky', 'none', 2),
  flaky('flaky_again', 'idempotent', 2),
  flaky('flaky_once', 'once', 2),
  keyed('keyed', ['HOLDPOINT_TEST_KEY']),
  keyed('keyed_longer', ['HOLDPOINT_TEST_KEY', 'HOLDPOINT_TEST_LONGER_KEY']),
  keyed('keyed_undeclared', []),
  keyed('keyed_missing', ['HOLDPOINT_TEST_KEY', 'HOLDPOINT_TEST_NONE']),
  long,
] as unknown as Tool[]

export const agent = reactGraph({ tools: [...tools, ...toolsNamed('read_file', 'send_email')] }).compile()
export const withoutFiles = reactGraph({ tools }).compile()

/** LangChain's own way to tools. */
export const toolNode = new StateGraph(MessagesAnnotation)
  .addNode('tools', new ToolNode([typed, ...toolsNamed('calculator', 'send_email')] as never))
  .addEdge(START, 'tools')
  .addEdge('tools', END)
  .compile()
