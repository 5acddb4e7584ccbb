import type { MiddlewareHandler } from 'hono'

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

const EXPOSED = 'content-location, location, x-pagination-total, x-pagination-next'
const METHODS = 'GET, POST, PUT, PATCH, DELETE, OPTIONS'

/**
 * Keeps pages of other origins out. The `Host` must be ours, or a name could be rebound to this address; a browser's
 * request from another origin must come from the allowlist, whatever its method and content type; and only listed
 * origins may read answers. Programs that are no browser send neither `Origin` nor `Sec-Fetch-Site`.
 */
export function guardOrigins({ origins, host }: { origins: string[]; host: string }): MiddlewareHandler {
  const allowed = new Set(origins)
  return async (c, next) => {
    const authority = c.req.header('host') ?? ''
    const name = authority.replace(/:\d+$/, '').toLowerCase()
    if (!LOOPBACK.has(name) && name !== host.toLowerCase()) {
      return c.text(`This server does not answer for "${name}". Call it as localhost.`, 403)
    }
    const origin = c.req.header('origin')
    const own = origin === `http://${authority}` || origin === `https://${authority}`
    const listed = origin !== undefined && allowed.has(origin)
    if (listed) allow(c.res.headers, origin)
    if (c.req.method === 'OPTIONS' && origin !== undefined) {
      if (!listed && !own) return c.text('Origin not allowed. Add it to HOLDPOINT_CORS_ORIGINS.', 403)
      c.header('Access-Control-Allow-Methods', METHODS)
      c.header('Access-Control-Allow-Headers', c.req.header('access-control-request-headers') ?? '*')
      c.header('Access-Control-Max-Age', '600')
      return c.body(null, 204)
    }
    if (
      !listed &&
      !own &&
      isForeign(origin, c.req.header('sec-fetch-site')) &&
      !isLink(c.req.method, c.req.path, c.req.header('sec-fetch-dest'))
    ) {
      return c.text('Origin not allowed. Add it to HOLDPOINT_CORS_ORIGINS.', 403)
    }
    return await next()
  }
}

/** On the response that stands before the handler's: Hono merges these into whatever it returns, streams too. */
function allow(headers: Headers, origin: string): void {
  headers.set('Access-Control-Allow-Origin', origin)
  headers.set('Access-Control-Expose-Headers', EXPOSED)
  headers.set('Vary', 'Origin')
}

/** What a link on another page may open. Everything else is for programs, and a GET of it can cancel a run. */
const PAGES = new Set(['/', '/console', '/docs', '/openapi.json'])

/** Following a link to a page is nobody's attack. A frame is none: a page of another origin would have it in its hand. */
function isLink(method: string, path: string, dest: string | undefined): boolean {
  return method === 'GET' && dest === 'document' && PAGES.has(path)
}

/** A browser leaves `Origin` out of some requests, but never both. */
function isForeign(origin: string | undefined, site: string | undefined): boolean {
  return origin !== undefined || site === 'cross-site' || site === 'same-site'
}
