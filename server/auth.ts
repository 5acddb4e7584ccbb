import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { z } from 'zod'
import type { Allowed } from '../runtime/allowed.ts'

/** Who asks, as the project's `authenticate` says it; what else it says comes along. */
export interface User {
  identity: string
  display_name: string
  permissions: string[]
  is_authenticated: boolean
  [key: string]: unknown
}

/** The events of the SDK's `Auth.on`. */
export type AuthEvent =
  | `threads:${'create' | 'read' | 'update' | 'delete' | 'search' | 'create_run'}`
  | `assistants:${'create' | 'read' | 'update' | 'delete' | 'search'}`
  | `crons:${'create' | 'read' | 'update' | 'delete' | 'search'}`
  | `store:${'put' | 'get' | 'search' | 'list_namespaces' | 'delete'}`

/** One request's side of the door. */
export interface Caller {
  /** `undefined` where the project has no authentication. */
  user: User | undefined
  /** A visitor by way of LangGraph Studio, who decides nothing that is held. */
  studio: boolean
  /**
   * Asks the project's handler, which may change `value`. Throws 403, or what the handler throws. Returns what the
   * metadata of the thing must contain.
   */
  may(event: AuthEvent, value: Record<string, unknown>): Promise<Allowed>
}

export interface Authority {
  /** False where the project has none: then whoever reaches the port may do everything. */
  authenticates: boolean
  /** Throws 401, or what the project's `authenticate` throws. */
  caller(request: Request): Promise<Caller>
}

const ANYBODY: Caller = { user: undefined, studio: false, may: () => Promise.resolve({}) }

export const NO_AUTHORITY: Authority = { authenticates: false, caller: () => Promise.resolve(ANYBODY) }

/** Whose word a decision is. Without authentication there is one principal. */
export function nameOf({ user }: Pick<Caller, 'user'>): string {
  return user?.identity ?? 'local'
}

type Handler = (request: object) => unknown

/** What the SDK's `Auth` keeps, recognised by shape: a project has its own copy of the SDK. */
const AuthShape = z.object({
  '~handlerCache': z.object({
    authenticate: z.custom<(request: Request) => unknown>((value) => typeof value === 'function').optional(),
    callbacks: z
      .record(
        z.string(),
        z.custom<Handler>((value) => typeof value === 'function'),
      )
      .optional(),
  }),
})

const Said = z.union([
  z.string().min(1),
  z.looseObject({
    identity: z.string().min(1),
    display_name: z.string().optional(),
    permissions: z.array(z.string()).optional(),
    is_authenticated: z.boolean().optional(),
  }),
])

const Scalar = z.union([z.string(), z.number(), z.boolean(), z.null()])
const Filters = z.record(
  z.string(),
  z.union([
    Scalar,
    z.strictObject({ $eq: Scalar }),
    z.strictObject({ $contains: z.union([Scalar, z.array(Scalar)]) }),
  ]),
)

const STUDIO: User = {
  kind: 'StudioUser',
  identity: 'langgraph-studio-user',
  display_name: 'langgraph-studio-user',
  permissions: [],
  is_authenticated: true,
}

/** Reads the SDK's `Auth`. Throws where it is none. */
export function createAuthority(auth: unknown, { studio }: { studio: boolean }): Authority {
  const parsed = AuthShape.safeParse(auth)
  if (!parsed.success)
    throw new Error('it is no Auth: export `new Auth().authenticate(…)` of @langchain/langgraph-sdk/auth')
  const { authenticate, callbacks = {} } = parsed.data['~handlerCache']
  if (authenticate === undefined) throw new Error('it has no authenticate handler, so nobody could call')
  return {
    authenticates: true,
    async caller(request) {
      if (studio && request.headers.get('x-auth-scheme') === 'langsmith')
        return callerOf(STUDIO, callbacks, true)
      // Without the body, which is read once, and by us.
      const { url, method, headers } = request
      const said = Said.safeParse(await told(() => authenticate(new Request(url, { method, headers }))))
      if (!said.success) throw new HTTPException(401, { message: 'Unauthorized' })
      return callerOf(toUser(said.data), callbacks, false)
    },
  }
}

function toUser(said: z.output<typeof Said>): User {
  const { identity, ...rest } = typeof said === 'string' ? { identity: said } : said
  return { is_authenticated: true, display_name: identity, permissions: [], ...rest, identity }
}

function callerOf(user: User, handlers: Record<string, Handler>, studio: boolean): Caller {
  return {
    user,
    studio,
    async may(event, value) {
      const [resource = '', action = ''] = event.split(':')
      const handler = handlers[event] ?? handlers[resource] ?? handlers[`*:${action}`] ?? handlers['*']
      if (handler === undefined) return {}
      const { permissions } = user
      const answer = await told(() => handler({ event, resource, action, value, user, permissions }))
      if (answer === undefined || answer === null || answer === true) return {}
      if (answer === false) throw new HTTPException(403, { message: 'Not authorized' })
      return allowedBy(event, resource, answer)
    },
  }
}

/** What cannot be carried out lets nobody through. */
function allowedBy(event: AuthEvent, resource: string, answer: unknown): Allowed {
  const filters = Filters.safeParse(answer)
  if (!filters.success)
    throw new Error(`The handler of ${event} returned neither true, false nor filters on metadata.`)
  if (resource === 'store')
    throw new Error(
      `The handler of ${event} returned filters, but items of the store have no metadata: set value.namespace, or throw.`,
    )
  return Object.fromEntries(
    Object.entries(filters.data).map(([key, filter]) => {
      if (typeof filter !== 'object' || filter === null) return [key, filter]
      return '$eq' in filter ? [key, filter.$eq] : [key, [filter.$contains].flat()]
    }),
  )
}

const Thrown = z.object({
  status: z.number().int().min(400).max(599),
  message: z.string(),
  headers: z.custom<ConstructorParameters<typeof Headers>[0]>().optional(),
})

/** The SDK's `HTTPException` of whichever copy becomes the answer that it describes; all else is an error of the project's. */
async function told(ask: () => unknown): Promise<unknown> {
  try {
    return await ask()
  } catch (error) {
    const thrown = Thrown.safeParse(error)
    if (!thrown.success || error instanceof HTTPException) throw error
    const { status, message, headers } = thrown.data
    const answer = new Headers(headers)
    if (!answer.has('content-type')) answer.set('content-type', 'text/plain; charset=utf-8')
    const res = new Response(message, { status, headers: answer })
    throw new HTTPException(status as ContentfulStatusCode, { message, res, cause: error })
  }
}
