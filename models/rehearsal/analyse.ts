import { writeCode, type Analysis } from './code.ts'
import { chooseColumns, FITS, isRowNoun, type Choice } from './columns.ts'
import { readSheet, type Sheet } from './csv.ts'
import { readAnswer, type Findings } from './findings.ts'
import { stopped, together, type History, type Progress } from './history.ts'
import type { Question } from './question.ts'
import { asText, isRecord } from './tool-result.ts'
import { likeness, wordsOf } from './words.ts'

/** Answers a question about tables: find the file, read its head, run a program that follows from it. */
export function analyse(question: Question, history: History): Progress<Findings[]> {
  const named = question.files.length > 0
  const files = named ? ({ kind: 'done', value: question.files } as const) : findTables(question, history)
  if (files.kind !== 'done') return files
  const heads = together(files.value.map((file) => readHead(file, history)))
  if (heads.kind !== 'done') return heads

  const readings = heads.value.map(({ file, sheet }) => ({
    file,
    sheet,
    choice: sheet ? chooseColumns(question, sheet) : NO_TABLE,
  }))
  const chosen = named || question.everyFile ? readings : bestOf(question, readings)
  if (chosen.length === 0) return stopped(unclear(question, readings))
  const failed = chosen.find(({ choice }) => choice.kind === 'none')
  if (failed?.choice.kind === 'none') return stopped(whyNot(failed.file, failed.sheet, failed.choice.reason))
  const computed = chosen.flatMap(({ file, sheet }) =>
    sheet ? parts(question, sheet).map((part) => answerPart(part, file, sheet, history)) : [],
  )
  return together(computed)
}

/** "The sales and the costs" of one table are two questions, unless one column is called like that. */
function parts(question: Question, sheet: Sheet): Question[] {
  const values = question.value.split(/\s+(?:and|&)\s+/)
  const whole = sheet.header.some((name) => likeness(wordsOf(question.value), wordsOf(name)) === 2)
  const fits = (value: string) => sheet.header.some((name) => likeness(wordsOf(value), wordsOf(name)) >= FITS)
  const several = values.length > 1 && !whole && values.every(fits)
  return several
    ? values.map((value) => ({ ...question, value, tails: { ...question.tails, value: '' } }))
    : [question]
}

function answerPart(question: Question, file: string, sheet: Sheet, history: History): Progress<Findings> {
  const choice = chooseColumns(question, sheet)
  if (choice.kind === 'none') return stopped(whyNot(file, sheet, choice.reason))
  return compute(
    { file, sheet, ...choice.columns, top: question.top },
    [...choice.remarks, ...unread(question)],
    history,
  )
}

interface Reading {
  file: string
  sheet: Sheet | null
  choice: Choice
}

const NO_TABLE: Choice = { kind: 'none', reason: 'it does not look like a table of columns' }

/** Bytes of the head: enough for a header and a good many rows, little enough to read for nothing. */
const HEAD_BYTES = 8_000

function readHead(file: string, history: History): Progress<{ file: string; sheet: Sheet | null }> {
  const read = history.ask({ name: 'read_file', args: { path: file, limit: HEAD_BYTES } })
  if (read.kind !== 'done') return read
  const { result } = read.value
  const content =
    isRecord(result) && typeof result['content'] === 'string' ? result['content'] : asText(result)
  if (isRecord(result) && result['encoding'] !== undefined && result['encoding'] !== 'utf8') {
    return stopped(`${file} is not a text file`)
  }
  const next = isRecord(result) ? result['next_offset'] : undefined
  return { kind: 'done', value: { file, sheet: readSheet(content, next === null || next === undefined) } }
}

function compute(analysis: Analysis, remarks: readonly string[], history: History): Progress<Findings> {
  const run = history.ask({ name: 'run_javascript', args: { code: writeCode(analysis) } })
  if (run.kind !== 'done') return run
  const { result } = run.value
  const findings = readAnswer(analysis, isRecord(result) ? result['value'] : result, remarks)
  return findings
    ? { kind: 'done', value: findings }
    : stopped('the program gave a result that I cannot read')
}

const MOST_TABLES = 8

/** Tables whose name the task speaks of; else all, for their columns to tell. */
function findTables(question: Question, history: History): Progress<string[]> {
  const listed = history.ask({ name: 'list_files', args: {} })
  if (listed.kind !== 'done') return listed
  const paths = readPaths(listed.value.result)
  const tables = paths.filter((path) => /\.(?:csv|tsv|tab|psv)$/i.test(path))
  const texts = tables.length > 0 ? tables : paths.filter((path) => /\.(?:txt|dat)$/i.test(path))
  if (texts.length === 0) {
    return stopped(
      `there is no CSV or TSV file here${paths.length > 0 ? ` (only ${paths.slice(0, 5).join(', ')})` : ''}`,
    )
  }
  const spoken = wordsOf([question.value, ...question.groups].join(' '))
  const called = texts.filter((path) => tableName(path).some((word) => spoken.includes(word)))
  const chosen = question.everyFile || called.length === 0 ? texts : called
  return { kind: 'done', value: chosen.slice(0, MOST_TABLES) }
}

export function readPaths(result: unknown): string[] {
  if (isRecord(result) && Array.isArray(result['files'])) {
    return result['files'].flatMap((file) =>
      isRecord(file) && typeof file['path'] === 'string' ? [file['path']] : [],
    )
  }
  // A list that was cut: what of it can still be read.
  return [...asText(result).matchAll(/"path":"((?:[^"\\]|\\.)*)"/g)].map(([, path = '']) => path)
}

/**
 * Of tables that nobody named, the one whose columns fit best; several where each is spoken of by name; none
 * where the words fit no table, or two equally well: to guess would be to make something up.
 */
function bestOf(question: Question, readings: readonly Reading[]): readonly Reading[] {
  const spoken = wordsOf([question.value, ...question.groups].join(' '))
  const called = readings.filter(({ file }) => tableName(file).some((word) => spoken.includes(word)))
  if (called.length > 1 && called.length === readings.length && spokenApart(called, wordsOf(question.value)))
    return called
  const fit = ({ choice }: Reading) => (choice.kind === 'chosen' ? choice.fit : -1)
  const [first, second] = readings.toSorted((a, b) => fit(b) - fit(a))
  if (!first || (second && fit(second) === fit(first) && fit(first) >= 0)) return []
  const foreign =
    called.length === 0 && fit(first) === 0 && question.value !== '' && !isRowNoun(question.value)
  return foreign ? [] : [first]
}

/** "Total the orders and the refunds": every table has a word of its own in the task. */
function spokenApart(readings: readonly Reading[], spoken: readonly string[]): boolean {
  const names = readings.map(({ file }) =>
    tableName(file)
      .filter((word) => spoken.includes(word))
      .join(' '),
  )
  return names.every((name) => name !== '') && new Set(names).size === names.length
}

function tableName(path: string): string[] {
  return wordsOf(path.replace(/^.*\//, '').replace(/\.\w+$/, '')).filter((word) => word.length > 2)
}

function unclear(question: Question, readings: readonly Reading[]): string {
  const files = readings.map(({ file }) => file).join(', ')
  const what = [question.value, ...question.groups].filter((one) => one !== '').join(' by ')
  return `I cannot tell which file is meant by "${what || question.operation}". Name one of them: ${files}`
}

function unread(question: Question): string[] {
  return question.unread.map((words) => `The words "${words}" are beyond these rules and were left out.`)
}

function whyNot(file: string, sheet: Sheet | null, reason: string): string {
  const columns = sheet ? ` Its columns: ${sheet.header.map((name) => `"${name}"`).join(', ')}.` : ''
  return `I cannot work that out from ${file}: ${reason}.${columns}`
}
