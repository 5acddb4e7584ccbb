import { z } from 'zod'
import { defineTool } from './define.ts'
import { runCode } from './run-code.ts'

const MAX_CODE = 100_000

export const runJavascript = defineTool({
  name: 'run_javascript',
  description:
    'Runs JavaScript (ES2023, top-level await) in a sandbox and returns the value of the last expression as JSON, and ' +
    'what was printed with console.log. The code can use await readFile(path) for text, await writeFile(path, text) ' +
    'and await listFiles(path?) on the files of this conversation. It has no network, no timers, no modules ' +
    '(import, require) and no Node.js API, sees no other files, and keeps no variables for the next call: store what ' +
    'you need in a file.',
  schema: z.object({
    code: z.string().min(1).max(MAX_CODE).describe('A script. Its last expression is the result.'),
  }),
  risk: 'low',
  effect: 'none',
  timeoutMs: 12_000,

  run: ({ code }, call) => runCode('javascript', code, call),
})
