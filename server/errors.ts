import type { Context, ErrorHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { type ErrorCode, RuntimeError } from '../runtime/errors.ts'
import { StorageUnavailable } from '../runtime/lease.ts'
import type { Log } from '../runtime/ports.ts'
import { RateLimited } from './rate-limits.ts'

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
  thread_has_no_graph: 400,
  run_not_found: 404,
  run_exists: 409,
  cron_not_found: 404,
  hold_not_found: 404,
  hold_decided: 409,
  hold_not_yours: 403,
  hold_changed: 409,
  self_approval: 403,
  already_voted: 409,
  vote_not_found: 404,
  quorum_open: 409,
  link_gone: 410,
  unsigned: 401,
  invalid_decision: 422,
  invalid_resume: 422,
  invalid_input: 422,
  invalid_update: 422,
  invalid_path: 422,
  file_not_found: 404,
  quota_exceeded: 413,
  state_too_large: 413,
  artifact_not_found: 404,
  checkpoint_not_found: 404,
  overloaded: 503,
  rate_limited: 429,
  not_supported: 422,
} as const satisfies Record<ErrorCode, number>

export function statusOf({ code }: RuntimeError): ContentfulStatusCode {
  return STATUS[code]
}

/** `text`: a line of plain text, which clients match. `json`: `{"detail": …}`, as the official description has it. */
export type ErrorFormat = 'text' | 'json'

/** Errors as the protocol's clients read them: a status and what to do. What is not meant for them stays here. */
export function onError(log: Log, format: ErrorFormat): ErrorHandler {
  return async (error, c) => {
    const say = (status: ContentfulStatusCode, message: string) => errorAnswer(c, format, status, message)
    tellWhen(c, error)
    if (error instanceof RuntimeError) return say(statusOf(error), error.message)
    if (error instanceof StorageUnavailable) {
      c.header('Retry-After', '1')
      return say(503, 'The database does not answer. Try again.')
    }
    if (error instanceof HTTPException) {
      // What a project's own handler throws has headers, such as `www-authenticate`.
      error.res?.headers.forEach((value, name) => name !== 'content-type' && c.header(name, value))
      return format === 'text' && error.res ? error.res : say(error.status, error.message)
    }
    if (brokeOff(error)) return say(400, 'The request broke off before its end.')
    if (error instanceof SyntaxError && (await isNoJson(c))) return say(400, NO_JSON)
    if (isAnswer(error)) return error.getResponse()
    log.error('A request failed', {
      method: c.req.method,
      path: loggedPath(c.req.path),
      cause: String(error),
    })
    return say(500, 'Internal error. The server log has the cause.')
  }
}

/** When it makes sense to try again. */
export function tellWhen(c: Context, error: Error): void {
  if (error instanceof RateLimited) c.header('Retry-After', String(error.retryAfterSeconds))
  if (error instanceof RuntimeError && error.code === 'overloaded') c.header('Retry-After', '5')
}

/** Whoever reads the log must not find a link there that decides. */
function loggedPath(path: string): string {
  return path.replace(/^(\/webhooks\/approvals\/).+/, '$1…')
}

/** An `HTTPException` of the project's own copy of Hono. */
function isAnswer(error: object): error is { getResponse(): Response } {
  return 'getResponse' in error && typeof error.getResponse === 'function'
}

export function errorAnswer(
  c: Context,
  format: ErrorFormat,
  status: ContentfulStatusCode,
  message: string,
): Response {
  // What a client sent may stand in it, and the answer is one line.
  return format === 'json'
    ? c.json({ detail: message }, status)
    : c.text(message.replaceAll(/[\r\n]+/g, ' '), status)
}

export const NO_JSON = 'The body is not valid JSON.'

/** The client went away in the middle of its body, so this is nobody's to see, and nothing of ours. */
function brokeOff(error: Error): boolean {
  return error.message === 'aborted' && 'code' in error && error.code === 'ECONNRESET'
}

/** A project's middleware may read the body before us, and then throws for it. */
async function isNoJson(c: Context): Promise<boolean> {
  if (c.req.bodyCache.text === undefined) return false
  const text = await c.req.text()
  try {
    JSON.parse(text)
    return false
  } catch {
    return true
  }
}
