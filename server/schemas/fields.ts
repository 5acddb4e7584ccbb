import { z } from 'zod'
import type { Json } from '../../runtime/json.ts'

export const Uuid = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i, 'must be a UUID')

/** Any JSON value. What is checked came out of `JSON.parse`, so there is nothing more to ask of it. */
export const Any = z.custom<Json>((value) => value !== undefined, 'is missing')

export const Dict = z.record(z.string(), Any)

/** Text that is compared with a column: PostgreSQL's text takes every character but one. */
export const Text = (max: number) =>
  z
    .string()
    .max(max)
    // oxlint-disable-next-line no-control-regex -- the one that is refused
    .regex(/^[^\u0000]*$/, 'must not contain NUL')

export const limit = (max: number) => z.coerce.number().int().min(1).max(max).default(10)
export const offset = z.coerce.number().int().min(0).max(1_000_000).default(0)
export const sortOrder = z.enum(['asc', 'desc']).default('desc')

/** Query strings have no booleans: `z.coerce.boolean()` would read "false" and "0" as true. */
export const QueryFlag = z
  .enum(['true', 'false', '1', '0'])
  .default('false')
  .transform((value) => value === 'true' || value === '1')
