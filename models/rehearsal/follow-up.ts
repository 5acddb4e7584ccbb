import { isRowNoun } from './columns.ts'
import type { Conversation } from './conversation.ts'
import type { Findings } from './findings.ts'
import { readTask, type Task } from './task.ts'
import { asText, isRecord } from './tool-result.ts'
import { wordsOf } from './words.ts'

/** A task whose missing words are those of the task before: "and the average?", "now by region". */
export function completeTask(task: Task, { past, words }: Conversation): Task {
  const follows = /^\s*(?:and|now|also|then|same|again|what about|how about)\b/i.test(words)
  const { work } = task
  if (!follows || work?.kind !== 'analyse') return task
  const { question } = work
  const before = past.words.map((one) => readTask(one).work).findLast((one) => one?.kind === 'analyse')
  if (before?.kind !== 'analyse') {
    const named = question.files.length > 0 || question.everyFile
    const shown = tableShown(past.calls)
    const files = named || isElsewhere(question.value, shown) ? question.files : shown
    return { ...task, work: { kind: 'analyse', question: { ...question, files } } }
  }
  const earlier = before.question
  const same = earlier.files.length > 0 ? earlier.files : tableShown(past.calls)
  const files = question.value !== earlier.value && isElsewhere(question.value, same) ? [] : same
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

/** "Now total the refunds": other rows than those of a file that is not called so. */
function isElsewhere(value: string, files: readonly string[]): boolean {
  const called = files.flatMap(wordsOf)
  return isRowNoun(value) && !wordsOf(value).some((word) => called.includes(word))
}

/** What "it" is in "now mail it": the last mail that was written, else the last answer. */
export function lastResult({ past }: Conversation): Findings[] {
  const mail = past.calls.findLast(({ name, args }) => name === 'send_email' && isRecord(args))
  if (mail && isRecord(mail.args)) {
    const title = asText(mail.args['subject'])
    return [{ title, summary: title, text: asText(mail.args['body']).trim() }]
  }
  return past.answer === undefined ? [] : [asFindings(past.answer)]
}

/** A text of somebody else as findings: its first line is the title. */
export function asFindings(text: string): Findings {
  const title = (text.split('\n')[0] ?? '').replace(/:$/, '')
  return { title, summary: title, text }
}

/** The table that was last looked at. */
function tableShown(calls: Conversation['past']['calls']): string[] {
  const paths = calls.flatMap(({ name, args, outcome }) => {
    const path = name === 'read_file' && outcome?.kind === 'ok' && isRecord(args) ? args['path'] : undefined
    return typeof path === 'string' && /\.(?:csv|tsv|tab|psv|txt|dat)$/i.test(path) ? [path] : []
  })
  return paths.slice(-1)
}
