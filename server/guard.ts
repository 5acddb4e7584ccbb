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
    if (listed) allow(c.header.bind(c), origin)
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
      isForeign(origin, c.req.header('sec-fetch-site'), c.req.header('sec-fetch-mode'), c.req.method)
    ) {
      return c.text('Origin not allowed. Add it to HOLDPOINT_CORS_ORIGINS.', 403)
    }
    return await next()
  }
}

function allow(header: (name: string, value: string) => void, origin: string): void {
  header('Access-Control-Allow-Origin', origin)
  header('Access-Control-Expose-Headers', EXPOSED)
  header('Vary', 'Origin')
}

/** A browser leaves `Origin` out of some requests, but never both. Following a link to a page is nobody's attack. */
function isForeign(
  origin: string | undefined,
  site: string | undefined,
  mode: string | undefined,
  method: string,
): boolean {
  if (origin !== undefined) return true
  const link = mode === 'navigate' && method === 'GET'
  return (site === 'cross-site' || site === 'same-site') && !link
}
