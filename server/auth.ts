import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { z } from 'zod'
import { type Allowed, TENANT } from '../runtime/allowed.ts'
import {
  DEFAULT_TENANT,
  EVERY_TENANT,
  LOCAL,
  type Person,
  type Role,
  ROLES,
  rolesOf,
} from '../runtime/people.ts'
import { checkRole, needRole } from './roles.ts'

/** Who asks, as the project's `authenticate` says it; what else it says comes along. */
export interface User {
  identity: string
  display_name: string
  permissions: string[]
  is_authenticated: boolean
  [key: string]: unknown
}

/** The events of the SDK's `Auth.on`, and ours: for a decision a project's handler of `threads:update` is asked. */
export type AuthEvent =
  | 'approvals:decide'
  | `threads:${'create' | 'read' | 'update' | 'delete' | 'search' | 'create_run'}`
  | `assistants:${'create' | 'read' | 'update' | 'delete' | 'search'}`
  | `crons:${'create' | 'read' | 'update' | 'delete' | 'search'}`
  | `store:${'put' | 'get' | 'search' | 'list_namespaces' | 'delete'}`

/** One request's side of the door. */
export interface Caller {
  /** `undefined` where the project has no authentication. */
  user: User | undefined
  readonly person: Person
  /** A visitor by way of LangGraph Studio, who decides nothing that is held. */
  studio: boolean
  /**
   * Sees that the caller has the role for it, and asks the project's handler, which may change `value`. Throws 403, or
   * what the handler throws. Returns what the thing must be for them to see it.
   */
  may(event: AuthEvent, value: Record<string, unknown>): Promise<Allowed>
  /** Throws 403 for whoever has not that role: of what no handler is asked for. */
  needs(role: Role): void
  /** For as long as a connection is open: calls `cut` where they are let in no longer. Returns what ends that. */
  connected?: ((cut: () => void) => () => void) | undefined
}

export interface Authority {
  /** False where nobody is asked who they are: then whoever reaches the port may do everything. */
  readonly authenticates: boolean
  /** Of the project: what they say of whoever asks for what. */
  readonly handlers: Handlers
  /** Throws 401, or what the project's `authenticate` throws. */
  caller(request: Request): Promise<Caller>
}

const ANYBODY: Caller = {
  user: undefined,
  person: LOCAL,
  studio: false,
  may: () => Promise.resolve({}),
  needs() {},
}

export const NO_AUTHORITY: Authority = {
  authenticates: false,
  handlers: {},
  caller: () => Promise.resolve(ANYBODY),
}

/** Whose word it is. Without authentication there is one principal. */
export function nameOf({ person }: Pick<Caller, 'person'>): string {
  return person.identity
}

type Handler = (request: object) => unknown
export type Handlers = Record<string, Handler>

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
    handlers: callbacks,
    async caller(request) {
      if (studio && request.headers.get('x-auth-scheme') === 'langsmith')
        return callerOf(STUDIO, callbacks, { first: personOf(STUDIO), studio: true })
      // Without the body, which is read once, and by us.
      const { url, method, headers } = request
      const said = Said.safeParse(await told(() => authenticate(new Request(url, { method, headers }))))
      if (!said.success) throw new HTTPException(401, { message: 'Unauthorized' })
      const user = toUser(said.data)
      return callerOf(user, callbacks, { first: personOf(user) })
    },
  }
}

function toUser(said: z.output<typeof Said>): User {
  const { identity, ...rest } = typeof said === 'string' ? { identity: said } : said
  return { is_authenticated: true, display_name: identity, permissions: [], ...rest, identity }
}

/** What `authenticate` may say beside what the SDK knows. */
const Told = z.object({
  tenant: z
    .union([z.string().min(1).max(200), z.int().transform(String)])
    .nullish()
    .transform((tenant) => tenant ?? DEFAULT_TENANT)
    .refine((tenant) => tenant !== EVERY_TENANT),
  roles: z
    .union([z.array(z.string()), z.string()])
    .nullish()
    .transform((roles) => (roles == null ? undefined : [roles].flat())),
  kind: z.unknown().optional(),
})

const ROLE_PERMISSION = 'holdpoint:'
/** Of whom a project says nothing of roles: its handlers alone say what they may. */
const ALL_BUT_SENIOR = ROLES.filter((role) => role !== 'senior')

/**
 * As the project says it: the tenant in `tenant`, roles in `roles` or as permissions such as `holdpoint:approver`, and
 * `kind: "agent"` for who is no person.
 */
export function personOf(user: User): Person {
  const said = Told.safeParse(user)
  // Taken for none, it would open what it was to close.
  if (!said.success)
    throw new Error(
      'What `authenticate` returned has a tenant that is no text, or roles that are no list of texts.',
    )
  const { tenant, roles, kind } = said.data
  const ours = user.permissions.filter((name) => name.startsWith(ROLE_PERMISSION))
  const permitted = ours.map((name) => name.slice(ROLE_PERMISSION.length))
  // Said and empty, or of no word that is known here, it gives nothing.
  const isSaid = roles !== undefined || ours.length > 0
  return {
    identity: user.identity,
    kind: kind === 'agent' ? 'agent' : 'person',
    roles: isSaid ? rolesOf([...(roles ?? []), ...permitted]) : ALL_BUT_SENIOR,
    tenant,
    alone: false,
  }
}

interface CallerOptions {
  first: Person
  /** Who they are when they ask again. Throws 401 where they are let in no longer, though a connection is still open. */
  again?: () => Person | Promise<Person>
  studio?: boolean
  connected?: Caller['connected']
}

export function callerOf(
  user: User,
  handlers: Handlers,
  { first, again = () => first, studio = false, connected }: CallerOptions,
): Caller {
  let now = first
  return {
    user,
    studio,
    connected,
    get person() {
      return now
    },
    needs: (role) => needRole(now, role),
    async may(event, value) {
      now = await again()
      checkRole(now, event, value)
      const asked = event === 'approvals:decide' ? 'threads:update' : event
      return { ...(await askHandler(user, handlers, asked, value)), [TENANT]: now.tenant }
    },
  }
}

async function askHandler(
  user: User,
  handlers: Handlers,
  event: AuthEvent,
  value: Record<string, unknown>,
): Promise<Allowed> {
  const [resource = '', action = ''] = event.split(':')
  const handler = handlers[event] ?? handlers[resource] ?? handlers[`*:${action}`] ?? handlers['*']
  if (handler === undefined) return {}
  const { permissions } = user
  const answer = await told(() => handler({ event, resource, action, value, user, permissions }))
  if (answer === undefined || answer === null || answer === true) return {}
  if (answer === false) throw new HTTPException(403, { message: 'Not authorized' })
  return allowedBy(event, resource, answer)
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
