import type { Log } from '../runtime/ports.ts'

/** One line of JSON for each entry, on standard error: standard output is for people. */
export function createLog(write: (line: string) => void = (line) => process.stderr.write(line)): Log {
  const entry =
    (level: string) =>
    (message: string, fields: Record<string, unknown> = {}) => {
      write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`)
    }
  return { info: entry('info'), warn: entry('warn'), error: entry('error') }
}
