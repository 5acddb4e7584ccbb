import type { Json } from '../chat-protocol/completion.ts'
import type { ChatRequest } from '../chat-protocol/request.ts'
import { ABOUT } from './about.ts'
import { lastHuman } from './conversation.ts'
import { passages } from './passages.ts'
import { mailGoal, saveGoal } from './plan.ts'
import { questionText } from './question.ts'
import { HANDED_ON, readTask, type Work } from './task.ts'

/** Who goes on: one specialist finds out, one sends, then it ends with an answer. */
export function route(request: ChatRequest): Json {
  const [opening = '', tail = ''] = lastHuman(request).split(/\nReports so far:/)
  const { work, mail, save } = readTask(opening.replace(/^\s*Task:\s*/, '').trim())
  const reports = passages(tail)
  const last = reports.at(-1)
  if (!work && !mail && !save) return finish(ABOUT)
  if (last && /^FAILED\b/.test(last.text)) {
    return finish(`It could not be finished. ${last.name}: ${last.text.replace(/^FAILED:\s*/, '')}`)
  }

  const written = save ? ` ${saveGoal(save)}.` : ''
  const finder = work && specialist(work)
  const worker = finder ?? 'analyst'
  if ((work || save) && !reports.some(({ name }) => name === worker)) {
    // Only the analyst can write files, so what somebody else found is handed on to it below.
    const own = worker === 'analyst' ? written : ''
    return { next: worker, task: `${work ? `${workText(work)}.` : ''}${own}`.trim(), answer: '' }
  }
  const findings = reports.filter(({ name }) => name !== 'operator').map(({ text }) => text)
  const handedOn = `${HANDED_ON}${findings.join('\n\n')}`
  if (save && worker !== 'analyst' && !reports.some(({ name }) => name === 'analyst')) {
    return { next: 'analyst', task: `${written.trim()}${handedOn}`, answer: '' }
  }
  if (mail && mail.to.length > 0 && !reports.some(({ name }) => name === 'operator')) {
    return { next: 'operator', task: `${mailGoal(mail)}.${findings.length > 0 ? handedOn : ''}`, answer: '' }
  }
  const unsent = mail?.to.length === 0 ? ['I sent no mail: the task names no address.'] : []
  return finish([...reports.map(({ text }) => text), ...unsent].join('\n\n'))
}

function finish(answer: string): Json {
  return { next: 'finish', task: '', answer }
}

function specialist(work: Work): 'researcher' | 'analyst' {
  return work.kind === 'analyse' || work.kind === 'calculate' ? 'analyst' : 'researcher'
}

function workText(work: Work): string {
  switch (work.kind) {
    case 'analyse':
      return questionText(work.question)
    case 'read':
      return `Read ${work.files.map((file) => `"${file}"`).join(' and ')}`
    case 'list':
      return 'List the files'
    case 'fetch':
      return `Fetch ${work.url} `
    case 'calculate':
      return `Calculate ${work.expression}`
  }
}
