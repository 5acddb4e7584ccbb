import type { ErrorHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { type ErrorCode, RuntimeError } from '../runtime/errors.ts'
import { StorageUnavailable } from '../runtime/lease.ts'
import type { Log } from '../runtime/ports.ts'

const STATUS = {
  assistant_not_found: 404,
  assistant_exists: 409,
  assistant_is_system: 409,
  graph_not_found: 404,
  graph_failed_to_load: 500,
  thread_not_found: 404,
  thread_exists: 409,
  thread_busy: 409,
  thread_held: 409,
  run_not_found: 404,
  run_exists: 409,
  hold_not_found: 404,
  hold_decided: 409,
  hold_not_yours: 403,
  invalid_decision: 422,
  invalid_resume: 422,
  invalid_input: 422,
  invalid_path: 422,
  file_not_found: 404,
  quota_exceeded: 413,
  checkpoint_not_found: 404,
  overloaded: 503,
  not_supported: 422,
} as const satisfies Record<ErrorCode, number>

/** Errors as the protocol's clients read them: a status and a line of plain text. What is not meant for them stays here. */
export function onError(log: Log): ErrorHandler {
  return (error, c) => {
    if (error instanceof RuntimeError && error.code === 'overloaded') c.header('Retry-After', '5')
    if (error instanceof RuntimeError) return c.text(error.message, STATUS[error.code])
    if (error instanceof StorageUnavailable) {
      c.header('Retry-After', '1')
      return c.text('The database does not answer. Try again.', 503)
    }
    if (error instanceof HTTPException) return c.text(error.message, error.status)
    log.error('A request failed', { method: c.req.method, path: c.req.path, cause: String(error) })
    return c.text('Internal error. The server log has the cause.', 500)
  }
}
