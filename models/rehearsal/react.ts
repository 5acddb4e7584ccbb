import type { ChatAnswer } from '../chat-protocol/completion.ts'
import { ABOUT } from './about.ts'
import { analyse } from './analyse.ts'
import type { Conversation } from './conversation.ts'
import { deliver, textOfAll } from './deliver.ts'
import type { Findings } from './findings.ts'
import { asFindings, completeTask, lastResult } from './follow-up.ts'
import { createHistory, type History, type Progress } from './history.ts'
import { HOPELESS } from './plan.ts'
import { calculate, fetchPage, listFiles, readFiles } from './lookups.ts'
import { HANDED_ON, readTask, type Task, type Work } from './task.ts'

/** The next message of an agent that acts with tools: the calls that are missing, or the answer. */
export function react(conversation: Conversation): ChatAnswer {
  if (conversation.kind === 'step' && conversation.words.startsWith(HOPELESS)) {
    return { content: `This could not be done: ${conversation.words.slice(HOPELESS.length).trim()}` }
  }
  const task = addressed(completeTask(readTask(conversation.words), conversation), conversation)
  const history = createHistory(conversation.calls, conversation.tools)
  const wants = task.mail !== undefined || task.save !== undefined
  if (!task.work && !wants) return { content: repeat(conversation) ?? ABOUT }

  const found = find(task, conversation, history)
  if (found.kind === 'call') return { toolCalls: found.calls }
  if (found.kind === 'stopped') return { content: unfinished(found, conversation, wants) }
  const delivered = deliver(task, found.value, history, conversation.tools)
  if (delivered.kind === 'call') return { toolCalls: delivered.calls }
  if (delivered.kind === 'stopped') return { content: undelivered(delivered, found.value, conversation) }
  return { content: report(task, found.value, delivered.value, conversation) }
}

function find(task: Task, conversation: Conversation, history: History): Progress<Findings[]> {
  const { known, kind, words } = conversation
  const results = known.filter(({ text }) => text !== '' && !/^FAILED\b/.test(text) && !DELIVERED.test(text))
  // Results are used as they are by whoever delivers them; nobody else may be able to work them out again.
  const given = results.map(({ text }) => asFindings(text))
  const [, ...parts] = words.split(HANDED_ON)
  const handed = parts.join(HANDED_ON)
  const canWork = history.has('run_javascript') || history.has('read_file') || history.has('http_fetch')
  if (task.work && (canWork || given.length === 0)) return work(task.work, history)
  if (task.mail?.text !== undefined || task.save?.text !== undefined) return { kind: 'done', value: [] }
  const found =
    given.length > 0
      ? given
      : handed
        ? [asFindings(handed.trim())]
        : kind === 'chat'
          ? lastResult(conversation)
          : []
  if (found.length > 0) return { kind: 'done', value: found }
  return { kind: 'stopped', reason: 'there is no result to send or save yet', refused: false }
}

/** Reports of deliveries, and of none: they are not what is to be delivered. */
const DELIVERED = /^(?:It is written to|The mail is sent|No mail was sent|Not done)\b/

function work(work: Work, history: History): Progress<Findings[]> {
  switch (work.kind) {
    case 'analyse':
      return analyse(work.question, history)
    case 'list':
      return listFiles(history)
    case 'read':
      return readFiles(work.files, history)
    case 'fetch':
      return fetchPage(work.url, history)
    case 'calculate':
      return calculate(work.expression, history)
  }
}

/** A step that says "mail the result" to nobody is meant for whom the whole task names. */
function addressed(task: Task, { kind, task: whole }: Conversation): Task {
  if (kind !== 'step' || !task.mail || task.mail.to.length > 0) return task
  return { ...task, mail: { ...task.mail, ...readTask(whole).mail } }
}

function report(
  task: Task,
  findings: readonly Findings[],
  done: readonly string[],
  { kind }: Conversation,
): string {
  const unsent = task.mail?.to.length === 0 ? ['I sent no mail: the task names no address.'] : []
  const lines = [...done, ...unsent]
  if (done.length === 0) return [textOfAll(findings), ...lines].join('\n\n')
  // A result that was worked out here is handed on whole; who was given it knows it already.
  const whole = task.work === null ? [] : [textOfAll(findings)]
  const results = kind === 'chat' ? findings.map(({ summary }) => summary) : whole
  return [...results, lines.join('\n')].filter((part) => part !== '').join('\n\n')
}

function unfinished(
  { reason, refused }: { reason: string; refused: boolean },
  { kind }: Conversation,
  wants: boolean,
): string {
  if (kind !== 'chat') return `FAILED: ${reason}`
  const nothing = wants ? ' Nothing was sent or saved.' : ''
  return refused
    ? `I stopped: ${sentence(reason)}${nothing}`
    : `I could not do it: ${sentence(reason)}${nothing}`
}

/** A refusal is an answer, not a failure: nobody should plan around it. */
function undelivered(
  { reason, refused }: { reason: string; refused: boolean },
  findings: readonly Findings[],
  { kind }: Conversation,
): string {
  if (kind !== 'chat') return refused ? `Not done: ${sentence(reason)}` : `FAILED: ${reason}`
  const result = findings.length > 0 ? `\n\nThe result, not delivered:\n\n${textOfAll(findings)}` : ''
  return `${refused ? 'Not done, as a person decided' : 'I could not finish'}: ${sentence(reason)}${result}`
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}

/** A step that asks for nothing by these rules hands on what it was given. */
function repeat({ kind, known }: Conversation): string | null {
  return kind === 'step' && known.length > 0 ? known.map(({ text }) => text).join('\n\n') : null
}
