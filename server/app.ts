import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { Log } from '../runtime/ports.ts'
import type { Endpoint } from './endpoint.ts'
import { mount } from './endpoint.ts'
import { onError } from './errors.ts'
import { guardOrigins } from './guard.ts'
import { openApiOf } from './openapi.ts'
import { type ApprovalPorts, approvalRoutes } from './routes/approvals.ts'
import { assistantRoutes } from './routes/assistants.ts'
import { fileRoutes } from './routes/files.ts'
import { mountPages } from './routes/pages.ts'
import { runRoutes } from './routes/runs.ts'
import { upgradeWebSocket } from '@hono/node-server'
import { protocolSocket } from './protocol-socket.ts'
import { protocolRoutes } from './routes/protocol.ts'
import { ThreadParams } from './schemas.ts'
import { statelessRoutes } from './routes/stateless.ts'
import type { RunPorts } from './run-streams.ts'
import { type SystemPorts, systemRoutes } from './routes/system.ts'
import { type ThreadPorts, threadRoutes } from './routes/threads.ts'

const MAX_JSON_BYTES = 4 * 1024 * 1024
const MAX_FILE_BYTES = 16 * 1024 * 1024

export interface AppPorts extends SystemPorts, ThreadPorts, RunPorts, ApprovalPorts {
  log: Log
  /** Origins, beside the server's own, whose pages may call it. */
  origins: string[]
  host: string
}

/** The whole door. It listens on nothing: tests call it through `app.request()`. */
export function createApp(ports: AppPorts): Hono {
  const app = new Hono()
  app.onError(onError(ports.log))
  app.notFound((c) => c.text(`There is no ${c.req.method} ${c.req.path}. See /docs.`, 404))
  app.use(guardOrigins(ports))
  app.use('/threads/:thread_id/files/*', limit(MAX_FILE_BYTES))
  app.use(async (c, next) => (isFile(c.req.path) ? await next() : await limit(MAX_JSON_BYTES)(c, next)))

  const endpoints: Endpoint[] = [
    ...systemRoutes(ports),
    ...assistantRoutes(ports),
    ...threadRoutes(ports),
    ...runRoutes(ports),
    ...statelessRoutes(ports),
    ...protocolRoutes(ports),
    ...approvalRoutes(ports),
    ...fileRoutes(ports),
  ]
  app.get('/threads/:thread_id/stream/events', async (c, next) => {
    const { success, data } = ThreadParams.safeParse(c.req.param())
    if (!success) return c.text('path.thread_id: must be a UUID', 422)
    if (c.req.header('upgrade')?.toLowerCase() !== 'websocket')
      return c.text('Open a WebSocket here, or POST a filter for server-sent events.', 426)
    const close = ports.admission.stream()
    return await upgradeWebSocket(() => protocolSocket(ports, data.thread_id, close))(c, next)
  })
  mount(app, endpoints)
  mountPages(app, openApiOf(endpoints, ports.version))
  return app
}

function isFile(path: string): boolean {
  return /^\/threads\/[^/]+\/files\//.test(path)
}

function limit(maxSize: number) {
  return bodyLimit({
    maxSize,
    onError: (c) => c.text(`The body is larger than ${maxSize / 1024 / 1024} MB.`, 413),
  })
}
