import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { encode } from '../runtime/json.ts'
import type { Page } from '../runtime/thread.ts'

/** A JSON answer in the protocol's form: messages flattened, dates as ISO 8601. */
export function json(c: Context, value: unknown, status: ContentfulStatusCode = 200): Response {
  return c.body(encode(value), status, { 'Content-Type': 'application/json' })
}

/** A page of a list, with the protocol's headers: how many there are in all, and where the next page begins. */
export function paged<T>(
  c: Context,
  { items, total }: Page<T>,
  { limit, offset }: { limit: number; offset: number },
): Response {
  // The rows carry the count, so behind the last page it is not known.
  if (items.length > 0 || offset === 0) c.header('X-Pagination-Total', String(total))
  if (offset + limit < total) c.header('X-Pagination-Next', String(offset + limit))
  return json(c, items)
}
