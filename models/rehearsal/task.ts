import { readDelivery, type Delivery } from './delivery.ts'
import { FILE_MARK, mask, URL_MARK, type Masked } from './mask.ts'
import { readQuestion, type Question } from './question.ts'

export type Work =
  | { kind: 'analyse'; question: Question }
  | { kind: 'list' }
  | { kind: 'read'; files: string[] }
  | { kind: 'fetch'; url: string }
  | { kind: 'calculate'; expression: string }

/** What the rules make of a task: something to find out, somewhere to put it, or neither. */
export interface Task extends Delivery {
  work: Work | null
}

export function readTask(words: string): Task {
  // What a supervisor hands on below this line is the result itself, not more to do.
  const [instruction = ''] = words.split(HANDED_ON)
  const masked = mask(instruction.slice(0, MAX_WORDS))
  const { mail, save, rest } = readDelivery(masked)
  return {
    mail,
    save,
    work: mail?.text !== undefined || save?.text !== undefined ? null : readWork(masked, rest),
  }
}

/** Characters. A task in words is shorter; the rules are regular expressions, which long texts make slow. */
const MAX_WORDS = 4_000

export const HANDED_ON = '\nThe result:\n'

function readWork(masked: Masked, text: string): Work | null {
  const [url] = masked.find(URL_MARK, text)
  if (url !== undefined) return { kind: 'fetch', url }
  const files = masked.find(FILE_MARK, text)
  const expression = files.length === 0 ? readExpression(text) : null
  if (expression !== null) return { kind: 'calculate', expression }
  if (
    /\b(?:list|show|which|what|see|display|name)\b[^‹.;]*\bfiles\b(?!\s+(?:by|per))/i.test(text) &&
    !/\b(?:total|sum|average)/i.test(text)
  ) {
    return { kind: 'list' }
  }
  const question = readQuestion(masked, text)
  if (question !== null) return { kind: 'analyse', question }
  return files.length > 0 && READ.test(text) ? { kind: 'read', files } : null
}

const READ = /\b(?:read|show|open|print|display|cat|view|see|look|contents?|what(?:'s| is) in|says?|head)\b/i

/** Arithmetic in digits or simple words, as JavaScript; null if there is none. */
function readExpression(text: string): string | null {
  const spelled = WORDED.reduce((left, [pattern, sign]) => left.replace(pattern, sign), text)
  const found = spelled
    .match(/[-(\d.][\d\s+\-*/().,%^×÷]*[\d)%]/g)
    ?.toSorted((a, b) => b.length - a.length)[0]
  if (found === undefined || !/\d\)?%?\s*[-+*/^%×÷]+\s*[-(]*\d/.test(found)) return null
  const expression = found
    .replace(/(?<=\d),(?=\d{3}\b)/g, '')
    .replaceAll('×', '*')
    .replaceAll('÷', '/')
    .replaceAll('^', '**')
    .replace(/(\d+(?:\.\d+)?)\s*%\s*\*\s*/g, '$1 / 100 * ')
    .trim()
  const dates = /\d{4}-\d{1,2}-\d{1,2}/.test(expression)
  const balanced = expression.split('(').length === expression.split(')').length
  return dates || !balanced || /[,%](?!\s*\d)/.test(expression) ? null : expression
}

const WORDED: [RegExp, string][] = [
  [/\b(?:plus|added to)\b/gi, '+'],
  [/\bminus\b/gi, '-'],
  [/\b(?:times|multiplied by)\b/gi, '*'],
  [/(?<=\d)\s*x\s*(?=[\d(])/gi, '*'],
  [/\b(?:divided by|over)\b(?=\s*\d)/gi, '/'],
  [/(?:%|\bpercent)\s+of\b/gi, '% *'],
  [/\bto the power of\b/gi, '^'],
  [/(?<=\d)\s+squared\b/gi, '^2'],
]
