import { z } from 'zod'
import { defineTool, ToolError } from './define.ts'
import { SANDBOX, type SandboxResult } from './sandbox/sandbox.ts'

const MAX_CODE = 100_000
/** Characters of output that go with an error: the end of it, where the reason usually is. */
const MAX_TAIL = 2_000

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

  async run({ code }, call) {
    const sandbox = await call.service(SANDBOX).open({ threadId: call.threadId })
    try {
      const result = await sandbox.run(code, { signal: call.signal })
      call.signal.throwIfAborted()
      return report(result)
    } finally {
      await sandbox.close()
    }
  },
})

function report(result: SandboxResult) {
  const { status, value, stdout, stderr, truncated } = result
  switch (status) {
    case 'ok':
      return {
        value,
        stdout,
        ...(stderr === '' ? {} : { stderr }),
        ...(truncated.length === 0 ? {} : { truncated }),
      }
    case 'timeout':
      throw new ToolError('TIMEOUT', describe(result))
    case 'guest_error':
    case 'memory':
    case 'output_limit':
    case 'host_call_denied':
      throw new ToolError('INVALID_ARGS', describe(result))
    case 'crashed':
    case 'cancelled':
    case 'unavailable':
      // Our own trouble, with our own paths in it: the executor tells the model no more than that.
      throw new Error(describe(result))
  }
}

function describe({ error, stdout, stderr }: SandboxResult): string {
  const line = error?.line === undefined ? '' : ` (line ${error.line})`
  const printed = (stdout + stderr).trimEnd().slice(-MAX_TAIL)
  return `${error?.message ?? 'The code failed.'}${line}${printed === '' ? '' : `\nPrinted before:\n${printed}`}`
}
