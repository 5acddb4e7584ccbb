import { z } from 'zod'
import { defineTool, ToolError } from './define.ts'
import { SANDBOX } from './sandbox/sandbox.ts'

const MAX_MATCHES = 100
/** The longest file that is searched: more than one of them fits into the sandbox's memory. */
const MAX_FILE_BYTES = 8 * 1024 * 1024
/** A call for each file of a full workspace, and one for their list. */
const MAX_CALLS = 1_010

const found = z.object({
  matches: z.array(z.object({ path: z.string(), line: z.int(), text: z.string() })),
  next_skip: z.int().nullable(),
  searched: z.int(),
  not_searched: z.array(z.string()),
})

export const searchFiles = defineTool({
  name: 'search_files',
  description:
    `Finds lines of the text files of this conversation, by a literal text or by a JavaScript regular expression, and ` +
    `returns ${MAX_MATCHES} at most with their path and line number; pass next_skip as skip until it is null. A match ` +
    'never spans lines. It does not search binary files, file names, or files of more than 8 MB, and none outside of ' +
    'this conversation.',
  schema: z.object({
    query: z.string().min(1).max(500),
    regex: z.boolean().optional().describe('The query is a regular expression; false by default.'),
    ignore_case: z.boolean().optional(),
    path: z.string().max(1024).optional().describe('A directory or file, relative; without it, everything.'),
    skip: z.int().min(0).max(100_000).optional().describe('Matches to leave out, from the first.'),
  }),
  risk: 'low',
  effect: 'none',
  timeoutMs: 12_000,
  outputLimit: 64_000,

  async run({ path, skip = 0, ...query }, call) {
    const sandbox = await call
      .service(SANDBOX)
      .open({ threadId: call.threadId, language: 'javascript', limits: { hostCalls: MAX_CALLS } })
    try {
      // In the sandbox, because an expression can take for ever and nothing but the end of its process stops it.
      const code = `(${search.toString()})(${JSON.stringify({ ...query, path, skip, max: MAX_MATCHES, maxBytes: MAX_FILE_BYTES })})`
      const result = await sandbox.run(code, { signal: call.signal })
      call.signal.throwIfAborted()
      if (result.status === 'ok') return found.parse(result.value)
      const { status, error } = result
      if (status === 'timeout')
        throw new ToolError('TIMEOUT', 'The search took too long. Use a simpler expression, or fewer files.')
      if (status === 'guest_error' || status === 'memory')
        throw new ToolError('INVALID_ARGS', error?.message ?? 'The search failed.')
      throw new Error(error?.message)
    } finally {
      await sandbox.close()
    }
  },
})

interface Search {
  query: string
  regex?: boolean
  ignore_case?: boolean
  path?: string
  skip: number
  max: number
  maxBytes: number
}

declare function listFiles(path?: string): Promise<{ path: string; size: number }[]>
declare function readFile(path: string): Promise<string>

/** Runs in the guest, as its own source: it can use nothing from outside of itself. */
async function search(options: Search): Promise<z.output<typeof found>> {
  const { query, regex, ignore_case, path, skip, max, maxBytes } = options
  const source = regex === true ? query : query.replace(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`)
  const pattern = new RegExp(source, ignore_case === true ? 'ui' : 'u')
  const matches: { path: string; line: number; text: string }[] = []
  const not_searched: string[] = []
  let seen = 0
  let searched = 0

  for (const file of await listFiles(path)) {
    const text = file.size > maxBytes ? undefined : await readFile(file.path).catch(() => undefined)
    if (text === undefined) {
      if (not_searched.length < max) not_searched.push(file.path)
      continue
    }
    searched++
    let line = 0
    for (let at = 0; at <= text.length; line++) {
      const end = text.indexOf('\n', at)
      const whole = text.slice(at, end < 0 ? text.length : end)
      at = end < 0 ? text.length + 1 : end + 1
      const index = whole.search(pattern)
      if (index < 0 || ++seen <= skip) continue
      if (matches.length === max) return { matches, next_skip: skip + max, searched, not_searched }
      matches.push({
        path: file.path,
        line: line + 1,
        text: whole.slice(Math.max(0, index - 100), index + 200),
      })
    }
  }
  return { matches, next_skip: null, searched, not_searched }
}
