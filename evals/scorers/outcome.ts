import { parse } from 'csv-parse/sync'
import type { ExpectedMail } from '../case.ts'
import type { ReadMail } from '../eml.ts'
import { addRow, differences, fold, readRows, type Table } from '../table-text.ts'
import { type Scorer, share } from './score.ts'

/** What is different in the world: the mails in the outbox and the files in the workspace. */
export const scoreOutcome: Scorer = ({ expected }, { mails, written }) => {
  const left = [...mails]
  const wrongMails = expected.mails.flatMap((wanted) => {
    const reasons = left.map((mail) => mailProblems(wanted, mail))
    const at = reasons.findIndex((problems) => problems.length === 0)
    if (at === -1) return reasons[0] ?? ['no mail was sent']
    left.splice(at, 1)
    return []
  })
  const tooMany = mails.length - expected.mails.length
  const extra =
    tooMany > 0 ? [`${tooMany} mails too many: to ${mails.flatMap(({ to }) => to).join(', ')}`] : []

  const wrongFiles = Object.entries(expected.written).flatMap(([path, rows]) => {
    const text = written[path]
    return text === undefined
      ? [`${path} was not written`]
      : differences(rows, rowsOf(path, text)).map((one) => `${path}: ${one}`)
  })
  const strayFiles = Object.keys(written)
    .filter((path) => !(path in expected.written))
    .map((path) => `${path} was written, which nobody asked for`)

  const checked = Math.max(1, expected.mails.length + Object.keys(expected.written).length)
  return share(checked, [...wrongMails, ...extra, ...wrongFiles, ...strayFiles])
}

function mailProblems(wanted: ExpectedMail, mail: ReadMail): string[] {
  const same = (a: string[], b: string[]) => a.toSorted().join() === b.toSorted().join()
  const { subject } = wanted
  return [
    ...(same(wanted.to, mail.to) ? [] : [`the mail went to ${mail.to.join(', ')}`]),
    ...(same(wanted.cc ?? [], mail.cc) ? [] : [`the mail was copied to ${mail.cc.join(', ') || 'nobody'}`]),
    ...(subject === undefined || fitsText(subject, mail.subject)
      ? []
      : [`the subject is "${mail.subject}" instead of ${String(subject)}`]),
    ...(wanted.rows ? differences(wanted.rows, readRows(mail.body)).map((one) => `mail: ${one}`) : []),
    ...(wanted.body === undefined || wanted.body.trimEnd() === mail.body.trimEnd()
      ? []
      : ['the body is another one']),
    ...(wanted.never?.test(mail.body) ? [`the mail must not say ${String(wanted.never)}`] : []),
  ]
}

function fitsText(wanted: string | RegExp, text: string): boolean {
  return typeof wanted === 'string' ? wanted === text : wanted.test(text)
}

/** Rows of a CSV file by its first column; of any other file as of a mail. */
function rowsOf(path: string, text: string): Table {
  if (!path.endsWith('.csv')) return readRows(text)
  const records: string[][] = parse(text, { from: 2 })
  const rows = new Map<string, string>()
  for (const [name = '', amount = ''] of records) addRow(rows, fold(name), amount)
  return rows
}
