import { z } from 'zod'
import { defineTool } from './define.ts'
import { runCode } from './run-code.ts'

const MAX_CODE = 100_000

export const runPython = defineTool({
  name: 'run_python',
  description:
    'Runs Python 3.14 (top-level await) in a sandbox and returns the value of the last expression as JSON, and what was ' +
    'printed. The standard library is there, nothing else: no numpy, no pandas, no pip. The code can open the files of ' +
    'this conversation by relative paths with open(), and use read_file(path), write_file(path, text) and ' +
    'list_files(path="."); os and pathlib see an empty directory instead. It has no network, no processes and no ' +
    'threads, sees no other files, and keeps no variables for the next call: store what you need in a file.',
  schema: z.object({
    code: z.string().min(1).max(MAX_CODE).describe('A script. Its last expression is the result.'),
  }),
  risk: 'low',
  effect: 'none',
  // The first call on a machine waits for the interpreter's boot and its snapshot, three seconds of the processor.
  timeoutMs: 30_000,

  run: ({ code }, call) => runCode('python', code, call),
})
