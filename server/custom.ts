import { Hono } from 'hono'
import type { ErrorHandler } from 'hono'
import { TrieRouter } from 'hono/router/trie-router'
import type { Authority } from './auth.ts'

/** Whether something answers that request. HEAD is answered by what answers GET. */
export type Matches = (method: string, path: string) => boolean

export function matcher(routes: { method: string; path: string }[]): Matches {
  const router = new TrieRouter<true>()
  for (const { method, path } of routes) router.add(method, path, true)
  return (method, path) => router.match(method === 'HEAD' ? 'GET' : method, path)[0].length > 0
}

/** What a project's middleware has made of a body, for the request that goes on to us. */
const bodies = new WeakMap<Request, object>()

/**
 * The project's app with ours behind it: its middleware sees every request, its routes come before ours, and what it
 * answers for one of ours is what the client gets. The app in front is of the project's own copy of Hono, whose contexts
 * its handlers expect; a new one, because several servers of a process may share what the project exports.
 */
export function before(custom: Hono, ours: Hono, onError: ErrorHandler): Hono {
  const front = new (custom.constructor as typeof Hono)({ router: new Hono().router })
  front.onError(onError)
  front.notFound((c) => {
    bodies.set(c.req.raw, c.req.bodyCache)
    return ours.fetch(c.req.raw, c.env)
  })
  return front.route('/', custom)
}

/** Stands before our routes, so that they read what the project's middleware has made of the body. */
export function takeBodies(ours: Hono): void {
  ours.use(async (c, next) => {
    Object.assign(c.req.bodyCache, bodies.get(c.req.raw))
    await next()
  })
}

/**
 * Asks who calls before all that no route of ours answers. Ours ask themselves, after the project's middleware, unless
 * a route of the project's takes their place: one that has no `next` to give the request on to is no middleware.
 */
export function authenticate(app: Hono, custom: Hono, authority: Authority, isOurs: Matches): void {
  const isTheirs = matcher(
    custom.routes.filter(({ method, handler }) => method !== 'ALL' || handler.length < 2),
  )
  app.use(async ({ req }, next) => {
    if (!isOurs(req.method, req.path) || isTheirs(req.method, req.path)) await authority.caller(req.raw)
    await next()
  })
}
