import type { Context, Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

interface Answer {
  description: string
  /** Of a JSON body; without one the body is plain text or empty. */
  schema?: z.ZodType
  /** Another media type than JSON. */
  type?: string
}

export interface Spec<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType> {
  method: Method
  /** With `:name` for parameters, as Hono writes it. */
  path: string
  summary: string
  tag: string
  params?: Params
  query?: Query
  body?: Body
  /** An absent body is read as `{}`. */
  bodyOptional?: boolean
  answers: Record<number, Answer>
  handle(
    c: Context,
    input: { params: z.output<Params>; query: z.output<Query>; body: z.output<Body> },
  ): Promise<Response> | Response
}

/** A route and its description in one, so that the OpenAPI document cannot differ from what is parsed. */
export type Endpoint = Omit<Spec<z.ZodObject, z.ZodObject, z.ZodType>, 'handle'> & {
  handle(c: Context): Promise<Response>
}

const Nothing = z.object({})

export function endpoint<
  Params extends z.ZodObject = typeof Nothing,
  Query extends z.ZodObject = typeof Nothing,
  Body extends z.ZodType = typeof Nothing,
>(spec: Spec<Params, Query, Body>): Endpoint {
  return {
    ...spec,
    async handle(c) {
      return await spec.handle(c, {
        params: parse('path', spec.params ?? Nothing, c.req.param()) as z.output<Params>,
        query: parse('query', spec.query ?? Nothing, c.req.query()) as z.output<Query>,
        body: (spec.body
          ? parse('body', spec.body, await readJson(c, spec.bodyOptional === true))
          : {}) as z.output<Body>,
      })
    },
  }
}

export function mount(app: Hono, endpoints: Endpoint[]): void {
  for (const { method, path, handle } of endpoints) app.on(method.toUpperCase(), path, handle)
}

/**
 * Whatever the content type: some clients send JSON as text/plain to save themselves a preflight. It opens nothing,
 * because the origin is checked first.
 */
async function readJson(c: Context, optional: boolean): Promise<unknown> {
  const text = await c.req.text()
  if (text === '' && optional) return {}
  if (isDeeperThan(MAX_DEPTH, text))
    throw new HTTPException(422, { message: `body: nested more than ${MAX_DEPTH} levels deep` })
  try {
    return JSON.parse(text)
  } catch {
    throw new HTTPException(400, {
      message: text === '' ? 'The body is missing: send JSON.' : 'The body is not valid JSON.',
    })
  }
}

/** Deeper JSON overflows somebody's stack on its way: ours, LangGraph's or PostgreSQL's. */
const MAX_DEPTH = 500

/** Counts brackets outside strings. A text shorter than that cannot nest so deep. */
function isDeeperThan(max: number, text: string): boolean {
  if (text.length <= max) return false
  let depth = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (inString) {
      if (char === 0x5c) at++
      else if (char === 0x22) inString = false
    } else if (char === 0x22) inString = true
    else if (char === 0x5b || char === 0x7b) {
      if (++depth > max) return true
    } else if (char === 0x5d || char === 0x7d) depth--
  }
  return false
}

function parse(place: string, schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues
    .slice(0, 10)
    .map(({ path, message }) => `${[place, ...path].join('.')}: ${message}`)
  throw new HTTPException(422, { message: issues.join('; ') })
}
