import { RuntimeError } from '../runtime/errors.ts'
import { WORKSPACES } from '../runtime/workspaces.ts'
import { type ToolCallContext, ToolError } from './define.ts'
import { type Language, SANDBOX, type SandboxResult } from './sandbox/sandbox.ts'

/** Characters of output that go with an error: the end of it, where the reason usually is. */
const MAX_TAIL = 2_000
/** Characters of a result that stays in the conversation. */
const MAX_RESULT = 24_000
const HEAD = 4_000

/** Runs code in the sandbox of the call's thread, and gives the model what it can use. */
export async function runCode(language: Language, code: string, call: ToolCallContext) {
  const sandbox = await call.service(SANDBOX).open({ threadId: call.threadId, language })
  try {
    const result = await sandbox.run(code, { signal: call.signal })
    call.signal.throwIfAborted()
    return await fitting(report(result), call)
  } finally {
    await sandbox.close()
  }
}

/** As it is, or what is too much for a conversation's state as a file of it: there is a way to read on. */
async function fitting(result: object, call: ToolCallContext) {
  const text = JSON.stringify(result, null, 1)
  if (text.length <= MAX_RESULT) return result
  const path = `outputs/${call.callId.replaceAll(/[^\w-]/g, '_').slice(0, 100)}.json`
  try {
    const { size } = await call.service(WORKSPACES).write(call.threadId, path, Buffer.from(text))
    return {
      artifact: { path, size },
      begins_with: text.slice(0, HEAD).toWellFormed(),
      note: `The result has ${text.length} characters. It is in the file ${path}: read on there with read_file, or with code.`,
    }
  } catch (error) {
    // No room for it: the executor cuts it, and says so.
    if (error instanceof RuntimeError) return result
    throw error
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
