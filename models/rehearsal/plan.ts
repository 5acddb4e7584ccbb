import type { Json } from '../chat-protocol/completion.ts'
import type { ChatRequest } from '../chat-protocol/request.ts'
import { textOf } from '../chat-protocol/request.ts'
import type { Delivery } from './delivery.ts'
import { passages } from './passages.ts'
import { questionText } from './question.ts'
import { readTask, type Work } from './task.ts'

export interface Step {
  id: string
  goal: string
  tools: string[]
  depends_on: string[]
}

/** The plan for a planner's request, or what is left to do of it where steps have failed. */
export function plan(request: ChatRequest): Json {
  const humans = request.messages.filter(({ role }) => role === 'user').map(textOf)
  // A request to repair the plan comes after the one that has the task.
  const text = humans.findLast((one) => /^\s*Task:/.test(one)) ?? humans.at(-1) ?? ''
  const [opening = ''] = text.split(/\n(?:Finished results|Failed):/)
  const task = opening.replace(/^\s*Task:\s*/, '').trim()
  const steps = planSteps(task, availableTools(request))
  const failed = section(text, 'Failed')
  const left = failed === null ? steps : remaining(steps, section(text, 'Finished results') ?? '', failed)
  return { steps: left.map((step) => ({ ...step })) }
}

function planSteps(task: string, available: ReadonlySet<string>): Step[] {
  const { work, mail, save } = readTask(task)
  const tools = (...names: string[]) => names.filter((name) => available.size === 0 || available.has(name))
  const works = work ? workSteps(work, tools) : []
  const depends_on = works.map(({ id }) => id)
  const deliveries: Step[] = []
  if (save) deliveries.push({ id: 'save', goal: saveGoal(save), tools: tools('write_file'), depends_on })
  if (mail) deliveries.push({ id: 'mail', goal: mailGoal(mail), tools: tools('send_email'), depends_on })
  const steps = [...works, ...deliveries]
  return steps.length > 0
    ? steps
    : [{ id: 'work', goal: task.slice(0, MAX_GOAL) || 'Answer', tools: [], depends_on: [] }]
}

type Pick = (...names: string[]) => string[]

function workSteps(work: Work, tools: Pick): Step[] {
  const step = (goal: string, names: string[]): Step => ({ id: 'work', goal, tools: names, depends_on: [] })
  switch (work.kind) {
    case 'analyse': {
      const { question } = work
      if (question.files.length === 0)
        return [step(questionText(question), tools('list_files', 'read_file', 'run_javascript'))]
      const steps = question.files.map((file) =>
        step(questionText(question, file), tools('read_file', 'run_javascript')),
      )
      return numbered(steps)
    }
    case 'read':
      return numbered(work.files.map((file) => step(`Read "${file}"`, tools('read_file'))))
    case 'list':
      return [step('List the files', tools('list_files'))]
    case 'fetch':
      return [step(`Fetch ${work.url}`, tools('http_fetch'))]
    case 'calculate':
      return [step(`Calculate ${work.expression}`, tools('run_javascript'))]
  }
}

function numbered(steps: Step[]): Step[] {
  return steps.length === 1 ? steps : steps.map((step, at) => ({ ...step, id: `work_${at + 1}` }))
}

/** "Mail the result to a@b.c" and whatever else the task says about the mail. */
export function mailGoal({ to, cc, subject, text }: NonNullable<Delivery['mail']>): string {
  const copied = cc.length > 0 ? ` cc ${cc.join(', ')}` : ''
  const titled = subject === undefined ? '' : ` with subject "${subject}"`
  const saying = text === undefined ? '' : ` saying "${text}"`
  const receivers = to.length > 0 ? ` to ${to.join(', ')}` : ''
  return `Mail ${text === undefined ? 'the result' : 'a message'}${receivers}${copied}${titled}${saying}`
}

export function saveGoal({ path, text }: NonNullable<Delivery['save']>): string {
  return `Write ${text === undefined ? 'the result' : `"${text}"`} to "${path}"`
}

/**
 * What is left after failures: failed steps once more under a new name, unless a person refused, it was
 * tried before, or it is a mail, which may have gone out; steps that cannot happen any more are replaced by one that says so.
 */
function remaining(steps: readonly Step[], finished: string, failed: string): Step[] {
  const done = new Set(passages(finished).map(({ name }) => name))
  const isDone = (id: string) => done.has(id) || done.has(`${id}_again`)
  const failures = new Map(passages(failed).flatMap(({ name, text }) => (isDone(name) ? [] : [[name, text]])))
  const hopeless = [...failures].filter(([name, text]) => /^mail|_again$/.test(name) || !RETRY.test(text))
  if (hopeless.length > 0) {
    const reasons = hopeless.map(([, text]) => text.replace(/^FAILED:\s*/, '').split('\n')[0]).join('; ')
    return [{ id: 'report', goal: `${HOPELESS} ${reasons}`.slice(0, MAX_GOAL), tools: [], depends_on: [] }]
  }
  const left = steps.filter(({ id }) => !isDone(id))
  const names = new Map(left.map(({ id }) => [id, failures.has(id) ? `${id}_again` : id]))
  return left.map((step) => ({
    ...step,
    id: names.get(step.id) ?? step.id,
    depends_on: step.depends_on.map((id) => names.get(id) ?? (done.has(`${id}_again`) ? `${id}_again` : id)),
  }))
}

/** How the goal of a step begins that has only to say so. */
export const HOPELESS = 'Say what could not be done:'
const MAX_GOAL = 2_000

/** Only what may pass by itself is worth a second try. */
const RETRY = /INTERNAL|temporar|unavailable|crash/i

function section(text: string, title: string): string | null {
  return (
    new RegExp(String.raw`(?:^|\n)${title}:\s*([^]*?)(?=\n(?:Finished results|Failed):|$)`).exec(text)?.[1] ??
    null
  )
}

function availableTools(request: ChatRequest): ReadonlySet<string> {
  const system = request.messages
    .filter(({ role }) => role === 'system' || role === 'developer')
    .map(textOf)
    .join('\n')
  return new Set([...system.matchAll(/^\s*- `?([a-z]\w*)`?:/gm)].map(([, name = '']) => name))
}
