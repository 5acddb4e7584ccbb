import { Hono, type NotFoundHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import type { Log } from '../runtime/ports.ts'
import { checkRead } from './commands.ts'
import { authenticate, before, matcher, takeBodies } from './custom.ts'
import type { Door, Endpoint } from './endpoint.ts'
import { mount } from './endpoint.ts'
import { errorAnswer, type ErrorFormat, onError } from './errors.ts'
import { graphHeaders } from './graph-headers.ts'
import { type CorsRules, guardOrigins } from './guard.ts'
import type { HttpSettings } from './langgraph-json.ts'
import { openApiOf } from './openapi.ts'
import { approvalRoutes } from './routes/approvals.ts'
import { artifactRoute } from './routes/artifacts.ts'
import { type AuditPorts, auditRoutes } from './routes/audit.ts'
import { type LinkPorts, linkRoutes } from './routes/decision-links.ts'
import { assistantGraphRoutes } from './routes/assistant-graphs.ts'
import { assistantRoutes } from './routes/assistants.ts'
import { type CronPorts, cronRoutes } from './routes/crons.ts'
import { type EffectPorts, effectRoute } from './routes/effects.ts'
import { fileRoutes } from './routes/files.ts'
import { mountPages } from './routes/pages.ts'
import { runRoutes } from './routes/runs.ts'
import { type HttpBindings, upgradeWebSocket } from '@hono/node-server'
import { protocolSocket } from './protocol-socket.ts'
import { protocolRoutes } from './routes/protocol.ts'
import { ThreadParams } from './schemas/threads.ts'
import { stateRoutes } from './routes/state.ts'
import { type StorePorts, storeRoutes } from './routes/store.ts'
import { statelessRoutes } from './routes/stateless.ts'
import type { RunPorts } from './run-streams.ts'
import { type SystemPorts, systemRoutes } from './routes/system.ts'
import { threadStreamRoute } from './routes/thread-stream.ts'
import { type ThreadPorts, threadRoutes } from './routes/threads.ts'

const JSON_LIMIT = limit(4 * 1024 * 1024)
const FILE_LIMIT = limit(16 * 1024 * 1024)

export interface AppPorts
  extends SystemPorts, ThreadPorts, EffectPorts, RunPorts, LinkPorts, StorePorts, CronPorts, AuditPorts {
  log: Log
  errors: ErrorFormat
  cors: CorsRules
  host: string
  /** Of the project's langgraph.json. */
  http: HttpSettings | undefined
}

/** The whole door. It listens on nothing: tests call it through `app.request()`. */
export function createApp(ports: AppPorts): Hono {
  const { authority, custom, http } = ports
  const failed = onError(ports.log, ports.errors)
  const missing: NotFoundHandler = (c) =>
    errorAnswer(c, ports.errors, 404, `There is no ${c.req.method} ${c.req.path}. See /docs.`)
  const ours = new Hono()
  ours.use(ports.limits.guard)
  if (custom !== undefined) takeBodies(ours)
  mountOurs(ours, ports)
  // `ALL` is middleware, which answers nothing.
  const isOurs = matcher(ours.routes.filter(({ method }) => method !== 'ALL'))

  const app = new Hono()
  app.onError(failed)
  app.notFound(missing)
  app.use(guardOrigins({ ...ports, isOurs, authenticates: () => authority.authenticates }))
  app.use(async (c, next) => {
    if (!isOurs(c.req.method, c.req.path)) return await next()
    return await (isFile(c.req.path) ? FILE_LIMIT : JSON_LIMIT)(c, next)
  })
  if (custom === undefined) return app.route('/', ours)
  ours.onError(failed)
  ours.notFound(missing)
  if (http?.enable_custom_route_auth === true) authenticate(app, custom, authority, isOurs)
  const both = before(custom, ours, failed)
  return app.all('*', (c) => both.fetch(c.req.raw, c.env))
}

function mountOurs(app: Hono, ports: AppPorts): void {
  const door = { ...ports, graphHeaders: graphHeaders(ports.http) }
  const endpoints: Endpoint[] = [
    ...systemRoutes(ports),
    ...assistantRoutes(ports),
    ...assistantGraphRoutes(ports),
    ...threadRoutes(ports),
    threadStreamRoute(ports),
    effectRoute(ports),
    ...stateRoutes(ports),
    artifactRoute(ports),
    ...runRoutes(ports),
    ...statelessRoutes(ports),
    ...cronRoutes(ports),
    ...protocolRoutes(ports),
    ...storeRoutes(ports),
    ...approvalRoutes(ports),
    ...linkRoutes(ports),
    ...auditRoutes(ports),
    ...fileRoutes(ports),
  ].filter(({ path }) => isServed(path, ports.http))
  if (isServed('/threads/:thread_id/stream/events', ports.http)) mountSocket(app, ports, door)
  mount(app, endpoints, door)
  if (ports.http?.disable_meta !== true) mountPages(app, openApiOf(endpoints, ports.version))
}

function mountSocket(app: Hono, ports: AppPorts, door: Door): void {
  app.get('/threads/:thread_id/stream/events', async (c, next) => {
    const { success, data } = ThreadParams.safeParse(c.req.param())
    if (!success) throw new HTTPException(422, { message: 'path.thread_id: must be a UUID' })
    if (c.req.header('upgrade')?.toLowerCase() !== 'websocket')
      throw new HTTPException(426, {
        message: 'Open a WebSocket here, or POST a filter for server-sent events.',
      })
    const caller = await ports.authority.caller(c.req.raw)
    ports.limits.letIn(c.req.raw)
    await checkRead(ports, data.thread_id, caller)
    const sender = { caller, headers: door.graphHeaders(c.req.raw.headers) }
    const { socket } = (c.env as HttpBindings).incoming
    if (socket.destroyed) throw new HTTPException(400, { message: 'The connection broke off.' })
    const events = protocolSocket(ports, data.thread_id, sender, ports.admission.stream())
    // A handshake that is refused, or breaks off, opens no WebSocket that could close.
    socket.once('close', events.end)
    const leave = caller.connected?.(() => socket.destroy())
    if (leave !== undefined) socket.once('close', leave)
    return await upgradeWebSocket(() => events)(c, next)
  })
}

function isServed(path: string, http: HttpSettings | undefined): boolean {
  if (http === undefined) return true
  const [, first = ''] = path.split('/')
  if (first === 'assistants') return !http.disable_assistants
  if (first === 'store') return !http.disable_store
  if (first === 'info' || first === 'metrics') return !http.disable_meta
  if (first === 'runs' || /^\/threads\/:thread_id\/runs\b/.test(path)) return !http.disable_runs
  return first !== 'threads' || !http.disable_threads
}

function isFile(path: string): boolean {
  return /^\/threads\/[^/]+\/files\//.test(path)
}

function limit(maxSize: number) {
  return bodyLimit({
    maxSize,
    onError() {
      throw new HTTPException(413, { message: `The body is larger than ${maxSize / 1024 / 1024} MB.` })
    },
  })
}
