import type { ToolCallContext } from './define.ts'
import { ToolError } from './define.ts'
import { type Language, SANDBOX, type SandboxResult } from './sandbox/sandbox.ts'

/** Characters of output that go with an error: the end of it, where the reason usually is. */
const MAX_TAIL = 2_000

/** Runs code in the sandbox of the call's thread, and gives the model what it can use. */
export async function runCode(language: Language, code: string, call: ToolCallContext) {
  const sandbox = await call.service(SANDBOX).open({ threadId: call.threadId, language })
  try {
    const result = await sandbox.run(code, { signal: call.signal })
    call.signal.throwIfAborted()
    return report(result)
  } finally {
    await sandbox.close()
  }
}

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
