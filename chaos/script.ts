import type { Random } from './random.ts'

/** What the model makes one run do. The person's message carries it, so that whoever asks again is told the same. */
export interface Script {
  /** Names this request to start a run: another try to start it has another. */
  tag: string
  graph: Graph
  /** `react` and `fan`: one message of the model each. `plan`: one step each, side by side. */
  turns: ScriptedCall[][]
}

export interface ScriptedCall {
  tool: JournalTool | 'send_email'
  /** Names the effect that the call is meant to have, once. */
  note: string
  /** Milliseconds that the tool takes before its effect, and after it. */
  before: number
  after: number
}

export const GRAPHS = ['chaos_react', 'chaos_plan', 'chaos_fan'] as const
export type Graph = (typeof GRAPHS)[number]

export const JOURNAL_TOOLS = [
  'journal_once',
  'journal_once_blind',
  'journal_idempotent',
  'journal_none',
  'journal_held',
] as const
export type JournalTool = (typeof JOURNAL_TOOLS)[number]

/** How often each tool is called, beside the others. */
const WEIGHTS: Record<ScriptedCall['tool'], number> = {
  journal_once: 5,
  journal_once_blind: 3,
  journal_idempotent: 3,
  journal_none: 2,
  journal_held: 2,
  send_email: 1,
}
const BAG = Object.entries(WEIGHTS).flatMap(([tool, weight]) =>
  Array.from({ length: weight }, () => tool as ScriptedCall['tool']),
)

export function writeScript(random: Random, tag: string, graph: Graph): Script {
  const turns = Array.from({ length: random.int(1, 3) }, (_, turn) =>
    Array.from({ length: random.int(1, 3) }, (__, index) => ({
      tool: random.pick(BAG),
      note: `${tag}.${turn}.${index}`,
      before: random.int(0, 150),
      after: random.int(0, 150),
    })),
  )
  return { tag, graph, turns }
}

const TASK = 'CHAOS '
const STEP = 'CHAOS-STEP '

export function taskOf(script: Script): string {
  return TASK + JSON.stringify(script)
}

/** The script in a conversation's text. */
export function readTask(text: string): Script | undefined {
  return read(text, TASK) as Script | undefined
}

export function goalOf(calls: ScriptedCall[]): string {
  return STEP + JSON.stringify(calls)
}

export function readGoal(text: string): ScriptedCall[] | undefined {
  return read(text, STEP) as ScriptedCall[] | undefined
}

function read(text: string, mark: string): unknown {
  const line = text.split('\n').find((one) => one.includes(mark))
  return line === undefined ? undefined : JSON.parse(line.slice(line.indexOf(mark) + mark.length))
}

/** How the model ends a conversation: seen in the thread's values, the run has come to its end. */
export function doneText(tag: string): string {
  return `done ${tag}.`
}
