import type { Context, Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'
import { type Allowed, restricts } from '../runtime/allowed.ts'
import { RuntimeError } from '../runtime/errors.ts'
import type { Threads } from '../runtime/ports.ts'
import { cutOff } from './cut-off.ts'
import type { GraphHeaders } from './graph-headers.ts'
import { isTooDeep, MAX_DEPTH } from './depth.ts'
import { NO_JSON } from './errors.ts'
import { type AuthEvent, type Authority, type Caller, NO_AUTHORITY } from './auth.ts'
import type { RateLimits } from './rate-limits.ts'

/** The content type of what a form sends. */
export const FORM = /^application\/x-www-form-urlencoded\s*(;|$)/i

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

interface Answer {
  description: string
  /** Of a JSON body; without one the body is plain text or empty. */
  schema?: z.ZodType
  /** Another media type than JSON. */
  type?: string
}

/** Who asks for what, as far as a handler needs it. */
export interface Ask {
  caller: Caller
  /** What the metadata of what is read, found or changed must contain. */
  allowed: Allowed
  /** Of the request, those that graphs may read. */
  headers: Record<string, string>
}

/** What stands before every endpoint. */
export interface Door {
  authority: Authority
  graphHeaders: GraphHeaders
  threads: Pick<Threads, 'allows'>
  limits: Pick<RateLimits, 'letIn'>
}

export interface Spec<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType> {
  method: Method
  /** With `:name` for parameters, as Hono writes it. */
  path: string
  summary: string
  tag: string
  /**
   * The event that the project's authentication is asked for. On a path with a thread that one has to be allowed, but
   * for `create_run`, which may create it. `public` asks nobody; `own`: the handler asks, for what it finds out itself.
   */
  access: AuthEvent | 'public' | 'own'
  params?: Params
  query?: Query
  /** Names in the query that may be given more than once: read as lists. */
  queryLists?: string[]
  body?: Body
  /** It may come from an HTML form as well. */
  bodyForm?: boolean
  /** An absent body is read as `{}`. */
  bodyOptional?: boolean
  answers: Record<number, Answer>
  handle(
    c: Context,
    input: { params: z.output<Params>; query: z.output<Query>; body: z.output<Body> },
    ask: Ask,
  ): Promise<Response> | Response
}

/** A route and its description in one, so that the OpenAPI document cannot differ from what is parsed. */
export type Endpoint = Omit<Spec<z.ZodObject, z.ZodObject, z.ZodType>, 'handle'> & {
  handle(c: Context, door: Door): Promise<Response>
}

const Nothing = z.object({})

export function endpoint<
  Params extends z.ZodObject = typeof Nothing,
  Query extends z.ZodObject = typeof Nothing,
  Body extends z.ZodType = typeof Nothing,
>(spec: Spec<Params, Query, Body>): Endpoint {
  return {
    ...spec,
    async handle(c, door) {
      // Before anything is said of the request: strangers learn nothing of what would be understood.
      const caller =
        spec.access === 'public'
          ? await NO_AUTHORITY.caller(c.req.raw)
          : await door.authority.caller(c.req.raw)
      if (spec.access !== 'public') door.limits.letIn(c.req.raw)
      const input = {
        params: parse('path', spec.params ?? Nothing, c.req.param()) as z.output<Params>,
        query: parse('query', spec.query ?? Nothing, queryOf(c, spec.queryLists)) as z.output<Query>,
        body: (spec.body ? parse('body', spec.body, await readBody(c, spec)) : {}) as z.output<Body>,
      }
      const allowed = await allowedBy(spec.access, caller, input)
      const { thread_id: threadId } = input.params as { thread_id?: string }
      if (threadId !== undefined && spec.access !== 'threads:create_run')
        await checkThread(door.threads, threadId, allowed)
      const headers = door.graphHeaders(c.req.raw.headers)
      return cutOff(await spec.handle(c, input, { caller, allowed, headers }), caller)
    },
  }
}

function queryOf(c: Context, lists: string[] = []): Record<string, string | string[]> {
  const given = lists.flatMap((name) => {
    const values = c.req.queries(name)
    return values === undefined ? [] : [[name, values] as const]
  })
  return { ...c.req.query(), ...Object.fromEntries(given) }
}

/** Handlers may change what they are shown: it is what is carried out. */
async function allowedBy(
  access: Spec<z.ZodObject, z.ZodObject, z.ZodType>['access'],
  caller: Caller,
  { params, body }: { params: { thread_id?: string }; body: unknown },
): Promise<Allowed> {
  if (access === 'public' || access === 'own' || caller.user === undefined) return {}
  const value = (typeof body === 'object' && body !== null && !Array.isArray(body) ? body : {}) as Record<
    string,
    unknown
  >
  if (access === 'threads:create_run') return await mayRun(caller, value, params)
  if (access === 'crons:create' || access === 'crons:update')
    return await mayPlan(access, caller, value, params)
  const added = Object.keys(params).filter((name) => !(name in value))
  Object.assign(value, params)
  const allowed = await caller.may(access, value)
  for (const name of added) delete value[name]
  return allowed
}

/** A run is shown as the SDK types it: what it is configured with stands in `kwargs`. */
export async function mayRun(
  caller: Caller,
  body: Record<string, unknown>,
  params: { thread_id?: string },
): Promise<Allowed> {
  const { metadata, ...kwargs } = body
  const value: Record<string, unknown> = {
    ...body,
    ...params,
    status: 'pending',
    metadata: metadata ?? {},
    kwargs,
  }
  const allowed = await caller.may('threads:create_run', value)
  Object.assign(body, value['kwargs'], { metadata: value['metadata'] })
  return allowed
}

/** Of a cron all but what is said of its runs. */
const PLAN = ['assistant_id', 'schedule', 'timezone', 'end_time', 'enabled', 'on_run_completed']

/** A cron is shown as the SDK types it: what its runs are asked for stands in `payload`. */
async function mayPlan(
  access: 'crons:create' | 'crons:update',
  caller: Caller,
  body: Record<string, unknown>,
  params: { thread_id?: string },
): Promise<Allowed> {
  const { metadata, ...rest } = body
  const of = (from: object, planned: boolean) =>
    Object.fromEntries(Object.entries(from).filter(([name]) => PLAN.includes(name) === planned))
  const value: Record<string, unknown> = {
    ...of(rest, true),
    ...params,
    metadata: metadata ?? {},
    payload: of(rest, false),
    ...(access === 'crons:create' ? { user_id: caller.user?.identity } : {}),
  }
  const allowed = await caller.may(access, value)
  Object.assign(body, value['payload'], of(value, true), { metadata: value['metadata'] })
  return allowed
}

/** A thread of somebody else's is not there. */
export async function checkThread(
  threads: Pick<Threads, 'allows'>,
  threadId: string,
  allowed: Allowed,
): Promise<void> {
  if (!restricts(allowed) || (await threads.allows(threadId, allowed))) return
  throw new RuntimeError('thread_not_found', `Thread ${threadId} does not exist.`)
}

export function mount(app: Hono, endpoints: Endpoint[], door: Door): void {
  for (const { method, path, handle } of endpoints) app.on(method.toUpperCase(), path, (c) => handle(c, door))
}

function readBody(
  c: Context,
  { bodyForm, bodyOptional }: { bodyForm?: boolean; bodyOptional?: boolean },
): Promise<unknown> {
  if (bodyForm === true && FORM.test(c.req.header('content-type') ?? '')) return readForm(c)
  return readJson(c, bodyOptional === true)
}

async function readForm(c: Context): Promise<unknown> {
  return Object.fromEntries(new URLSearchParams(await c.req.text()))
}

/**
 * Whatever the content type: some clients send JSON as text/plain to save themselves a preflight. It opens nothing,
 * because the origin is checked first.
 */
async function readJson(c: Context, optional: boolean): Promise<unknown> {
  const text = await bodyText(c)
  if (text === '' && optional) return {}
  if (isTooDeep(text)) throw tooDeep()
  try {
    return JSON.parse(text)
  } catch {
    throw new HTTPException(400, {
      message: text === '' ? 'The body is missing: send JSON.' : NO_JSON,
    })
  }
}

/** A project's middleware changes what we read by putting it into Hono's cache of the body. */
async function bodyText(c: Context): Promise<string> {
  const { json } = c.req.bodyCache
  if (json === undefined) return await c.req.text()
  const value: unknown = await json
  try {
    return JSON.stringify(value)
  } catch (error) {
    throw error instanceof RangeError ? tooDeep(error) : error
  }
}

function tooDeep(cause?: Error): HTTPException {
  return new HTTPException(422, { message: `body: nested more than ${MAX_DEPTH} levels deep`, cause })
}

function parse(place: string, schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues
    .slice(0, 10)
    .map(({ path, message }) => `${[place, ...path].join('.')}: ${message}`)
  throw new HTTPException(422, { message: issues.join('; ') })
}
