import { readPaths } from './analyse.ts'
import type { Findings } from './findings.ts'
import { together, type History, type Progress } from './history.ts'
import { asText, isRecord } from './tool-result.ts'

/** The short kinds of work: one call, or one for each file. */

export function listFiles(history: History): Progress<Findings[]> {
  return then(history.ask({ name: 'list_files', args: {} }), ({ result }) => {
    const sizes = isRecord(result) && Array.isArray(result['files']) ? result['files'] : []
    const lines = readPaths(result).map((path, at) => {
      const entry: unknown = sizes[at]
      return isRecord(entry) ? `${path} (${asText(entry['size'])} bytes)` : path
    })
    const title = lines.length === 0 ? 'There are no files in this thread yet.' : `Files: ${lines.length}`
    return [found(title, [title, ...lines].join('\n'))]
  })
}

export function readFiles(files: readonly string[], history: History): Progress<Findings[]> {
  return together(
    files.map((file) =>
      then(history.ask({ name: 'read_file', args: { path: file } }), ({ result }) => shown(file, result)),
    ),
  )
}

function shown(file: string, result: unknown): Findings {
  if (!isRecord(result)) return found(file, `${file}:\n${asText(result)}`)
  if (result['encoding'] !== undefined && result['encoding'] !== 'utf8') {
    return found(file, `${file} is not a text file (${asText(result['size'])} bytes).`)
  }
  const next = result['next_offset']
  const rest = typeof next === 'number' ? `\n… (the first ${next} of ${asText(result['size'])} bytes)` : ''
  return found(file, `${file}:\n${asText(result['content'])}${rest}`)
}

export function fetchPage(url: string, history: History): Progress<Findings[]> {
  return then(history.ask({ name: 'http_fetch', args: { url } }), ({ result }) => {
    if (!isRecord(result)) return [found(url, `${url} answered:\n${asText(result)}`)]
    const body = asText(result['body'])
    const kind = result['content_type'] ? `, ${asText(result['content_type'])}` : ''
    const cut = result['truncated'] ? ' (there is more: it was cut)' : ''
    const title = `${url} answered with status ${asText(result['status'])}${kind}, ${body.length} characters${cut}.`
    const start = body.slice(0, 300).trim()
    return [
      found(title, start === '' ? title : `${title}\nIt begins:\n${start}${body.length > 300 ? ' …' : ''}`),
    ]
  })
}

export function calculate(expression: string, history: History): Progress<Findings[]> {
  return then(history.ask({ name: 'run_javascript', args: { code: expression } }), ({ result }) => {
    const value = isRecord(result) ? result['value'] : result
    const title = `${expression} = ${typeof value === 'number' ? Number(value.toPrecision(12)) : JSON.stringify(value)}`
    return [found(title, title)]
  })
}

function found(title: string, text: string): Findings {
  return { title, summary: title, text }
}

function then<A, B>(progress: Progress<A>, next: (value: A) => B): Progress<B> {
  return progress.kind === 'done' ? { kind: 'done', value: next(progress.value) } : progress
}
