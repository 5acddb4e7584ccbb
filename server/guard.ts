import type { Context, MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { Matches } from './custom.ts'

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

const EXPOSED = ['content-location', 'location', 'x-pagination-total', 'x-pagination-next']
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

const NOT_LISTED = 'Origin not allowed. Add it to HOLDPOINT_CORS_ORIGINS.'

function refused(message: string): HTTPException {
  return new HTTPException(403, { message })
}

/** Pages of which origins may call the server, and how. */
export interface CorsRules {
  /** Beside the server's own. `*`: any. */
  origins: string[]
  pattern?: RegExp | undefined
  credentials?: boolean
  methods?: string[] | undefined
  headers?: string[] | undefined
  expose?: string[]
  maxAgeSeconds?: number | undefined
}

export interface GuardOptions {
  cors: CorsRules
  host: string
  /**
   * Whether callers prove who they are. Else a name that is bound to this address anew (DNS rebinding) would make a page
   * of anybody's one of ours, so only names of this machine are answered.
   */
  authenticates: () => boolean
  /** Else it is a route of the project's, which says itself what it makes of a link. */
  isOurs: Matches
}

/**
 * Keeps pages of other origins out. The `Host` must be ours, or a name could be rebound to this address; a browser's
 * request from another origin must come from the allowlist, whatever its method and content type; and only listed
 * origins may read answers. Programs that are no browser send neither `Origin` nor `Sec-Fetch-Site`.
 */
export function guardOrigins({ cors, host, authenticates, isOurs }: GuardOptions): MiddlewareHandler {
  const isListed = listed(cors)
  return async (c, next) => {
    const authority = c.req.header('host') ?? ''
    const name = authority.replace(/:\d+$/, '').toLowerCase()
    if (!authenticates() && !LOOPBACK.has(name) && name !== host.toLowerCase()) {
      throw refused(`This server does not answer for "${name}". Call it as localhost.`)
    }
    const origin = c.req.header('origin')
    const site = c.req.header('sec-fetch-site')
    const own =
      origin === `http://${authority}` ||
      origin === `https://${authority}` ||
      // A form of a page with `Referrer-Policy: no-referrer`. A page cannot write the second header itself.
      (origin === 'null' && site === 'same-origin')
    const foreignButListed = origin !== undefined && isListed(origin)
    if (foreignButListed) allow(c.res.headers, origin, cors)
    if (c.req.method === 'OPTIONS' && origin !== undefined) {
      if (!foreignButListed && !own) throw refused(NOT_LISTED)
      c.header('Access-Control-Allow-Methods', (cors.methods ?? METHODS).join(', '))
      const headers = cors.headers?.includes('*') === true ? undefined : cors.headers?.join(', ')
      c.header(
        'Access-Control-Allow-Headers',
        headers ?? c.req.header('access-control-request-headers') ?? '*',
      )
      // Browsers that ask so before a page of the internet reaches this machine or its network.
      if (c.req.header('access-control-request-private-network') === 'true')
        c.header('Access-Control-Allow-Private-Network', 'true')
      c.header('Access-Control-Max-Age', String(cors.maxAgeSeconds ?? 600))
      return c.body(null, 204)
    }
    if (
      !foreignButListed &&
      !own &&
      isForeign(origin, site) &&
      !(isLink(c) && (isPage(c.req.path) || !isOurs(c.req.method, c.req.path)))
    ) {
      throw refused(NOT_LISTED)
    }
    return await next()
  }
}

function listed({ origins, pattern }: CorsRules): (origin: string) => boolean {
  const known = new Set(origins)
  return (origin) => known.has('*') || known.has(origin) || pattern?.test(origin) === true
}

/** On the response that stands before the handler's: Hono merges these into whatever it returns, streams too. */
function allow(headers: Headers, origin: string, { credentials, expose = [] }: CorsRules): void {
  headers.set('Access-Control-Allow-Origin', origin)
  if (credentials === true) headers.set('Access-Control-Allow-Credentials', 'true')
  headers.set('Access-Control-Expose-Headers', [...EXPOSED, ...expose].join(', '))
  headers.set('Vary', 'Origin')
}

/** Of ours what a link on another page may open. Everything else is for programs, and a GET of it can cancel a run. */
const PAGES = new Set(['/', '/console', '/docs', '/openapi.json'])

function isPage(path: string): boolean {
  return PAGES.has(path) || path.startsWith('/webhooks/approvals/')
}

/** Following a link to a page is nobody's attack. A frame is none: a page of another origin would have it in its hand. */
function isLink({ req }: Context): boolean {
  return req.method === 'GET' && req.header('sec-fetch-dest') === 'document'
}

/** A browser leaves `Origin` out of some requests, but never both. */
function isForeign(origin: string | undefined, site: string | undefined): boolean {
  return origin !== undefined || site === 'cross-site' || site === 'same-site'
}
