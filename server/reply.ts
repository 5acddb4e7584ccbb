import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { encode } from '../runtime/json.ts'
import type { Page } from '../runtime/thread.ts'

/** A JSON answer in the protocol's form: messages flattened, dates as ISO 8601. */
export function json(
  c: Context,
  value: unknown,
  status: ContentfulStatusCode = 200,
  write: (value: unknown) => string = encode,
): Response {
  return c.body(write(value), status, { 'Content-Type': 'application/json' })
}

interface Place {
  limit: number
  offset: number
}

/** A page of a list, with the protocol's headers: how many there are in all, and where the next page begins. */
export async function paged<T>(
  c: Context,
  { limit, offset }: Place,
  list: (place: Place) => Promise<Page<T>>,
  show: (item: T) => unknown = (item) => item,
): Promise<Response> {
  const { items, total: told } = await list({ limit, offset })
  // The rows carry the count, so behind the last page it has to be asked for.
  const total = items.length > 0 || offset === 0 ? told : (await list({ limit: 1, offset: 0 })).total
  c.header('X-Pagination-Total', String(total))
  if (offset + limit < total) c.header('X-Pagination-Next', String(offset + limit))
  return json(c, items.map(show))
}

/** Of the thing only the fields that a client selects; unset: all. */
export function selected(thing: object, fields: readonly string[] | null | undefined): object {
  if (fields == null) return thing
  return Object.fromEntries(Object.entries(thing).filter(([field]) => fields.includes(field)))
}
