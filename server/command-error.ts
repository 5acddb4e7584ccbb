import type { z } from 'zod'
import { RuntimeError } from '../runtime/errors.ts'

/** The protocol's `ErrorCode`, as far as it is used. */
export type ProtocolError =
  | 'invalid_argument'
  | 'unknown_command'
  | 'unknown_error'
  | 'no_such_run'
  | 'no_such_subscription'
  | 'no_such_interrupt'
  | 'no_such_checkpoint'
  | 'permission_denied'
  | 'not_supported'

export class CommandError extends Error {
  readonly code: ProtocolError

  constructor(code: ProtocolError, message: string) {
    super(message)
    this.name = 'CommandError'
    this.code = code
  }
}

export function refusal(id: number | null, { code, message }: CommandError): string {
  return JSON.stringify({ type: 'error', id, error: code, message })
}

export function parse<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues
    .slice(0, 10)
    .map(({ path, message }) => `${['params', ...path].join('.')}: ${message}`)
  throw new CommandError('invalid_argument', issues.join('; '))
}

/** What says nothing of the command itself: these are the door's, with a status of their own. */
const NOT_ITS_OWN = new Set<RuntimeError['code']>([
  'assistant_not_found',
  'graph_failed_to_load',
  'overloaded',
])

const CODES: Partial<Record<RuntimeError['code'], ProtocolError>> = {
  hold_not_yours: 'permission_denied',
  not_supported: 'not_supported',
  checkpoint_not_found: 'no_such_checkpoint',
  run_not_found: 'no_such_run',
  thread_not_found: 'no_such_run',
  hold_not_found: 'no_such_interrupt',
}

/** Throws what is not the command's own fault. */
export function asCommandError(error: unknown): CommandError {
  if (error instanceof CommandError) return error
  if (!(error instanceof RuntimeError) || NOT_ITS_OWN.has(error.code)) throw error
  return new CommandError(CODES[error.code] ?? 'invalid_argument', error.message)
}
