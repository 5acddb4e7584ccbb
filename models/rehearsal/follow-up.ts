import type { Conversation } from './conversation.ts'
import type { Findings } from './findings.ts'
import { readTask, type Task } from './task.ts'
import { isRecord } from './tool-result.ts'

/** A task whose missing words are those of the task before: "and the average?", "now by region". */
export function completeTask(task: Task, { past, words }: Conversation): Task {
  const follows = /^\s*(?:and|now|also|then|same|again|what about|how about)\b/i.test(words)
  const { work } = task
  if (!follows || work?.kind !== 'analyse') return task
  const before = past.words.map((one) => readTask(one).work).findLast((one) => one?.kind === 'analyse')
  if (before?.kind !== 'analyse') return task
  const { question } = work
  const earlier = before.question
  const files = earlier.files.length > 0 ? earlier.files : filesRead(past.calls)
  return {
    ...task,
    work: {
      kind: 'analyse',
      question: {
        ...question,
        operation: question.spoken ? question.operation : earlier.operation,
        value: question.value || earlier.value,
        groups: question.groups.length > 0 ? question.groups : earlier.groups,
        files: question.files.length > 0 || question.everyFile ? question.files : files,
      },
    },
  }
}

/** What "it" is in "now mail it": the last mail that was written, else the last answer. */
export function lastResult({ past }: Conversation): Findings[] {
  const mail = past.calls.findLast(({ name, args }) => name === 'send_email' && isRecord(args))
  if (mail && isRecord(mail.args)) {
    const title = String(mail.args['subject'] ?? 'Result')
    return [{ title, summary: title, text: String(mail.args['body'] ?? '').trim() }]
  }
  return past.answer === undefined ? [] : [asFindings(past.answer)]
}

/** A text of somebody else as findings: its first line is the title. */
export function asFindings(text: string): Findings {
  const [title = ''] = text.split('\n')
  return { title, summary: title, text }
}

function filesRead(calls: Conversation['past']['calls']): string[] {
  const read = calls.findLast(({ name, outcome }) => name === 'read_file' && outcome?.kind === 'ok')
  return read && isRecord(read.args) && typeof read.args['path'] === 'string' ? [read.args['path']] : []
}
