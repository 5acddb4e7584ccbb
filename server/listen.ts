import type { IncomingMessage } from 'node:http'
import { serve, type ServerType } from '@hono/node-server'
import { WebSocketServer } from 'ws'

/** Of a command on a WebSocket. As large as a body may be. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024

export interface Listening {
  /** Where it was told to listen. */
  url: string
  /** Where this process reaches itself, whatever address it listens on. */
  own: string
  /** Takes no new requests. Streams that are open are cut: their readers come back with Last-Event-ID. */
  close(): Promise<void>
}

export function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  { host, port }: { host: string; port: number },
): Promise<Listening> {
  return new Promise((done, fail) => {
    const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES })
    // Anything else that a client would rather speak, such as Java's h2c, is answered as if it had not asked.
    const serverOptions = { shouldUpgradeCallback: isWebSocket }
    const options = { fetch, port, hostname: host, websocket: { server: sockets }, serverOptions }
    const server = serve(options, (info) => {
      done({
        url: urlOf(host, info.port),
        own: ownUrl(host, info.port),
        close: () => stopListening(server),
      })
    })
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const reason = cause.code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${cause.code})`
      fail(new Error(`Port ${port} on ${host} ${reason}. Stop what uses it, or set PORT.`, { cause }))
    })
  })
}

function isWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket'
}

/** Of a server that may listen everywhere, as this machine reaches it. */
export function ownUrl(host: string, port: number): string {
  return urlOf(host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host, port)
}

function urlOf(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function stopListening(server: ServerType): Promise<void> {
  return new Promise((done) => {
    server.close(() => done())
    if ('closeAllConnections' in server) server.closeAllConnections()
  })
}
