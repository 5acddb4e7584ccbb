import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { completion, completionChunks, type ChatAnswer, type Speaker } from './chat-protocol/completion.ts'
import { BadRequest, parseChatRequest, type ChatRequest } from './chat-protocol/request.ts'

export interface ChatServer {
  /** For `OPENAI_BASE_URL`: `http://127.0.0.1:PORT/v1`. */
  url: string
  close(): Promise<void>
}

export interface ChatServerOptions extends Speaker {
  /** 0: any free one. */
  port?: number
  answer(request: ChatRequest, signal: AbortSignal): Promise<ChatAnswer> | ChatAnswer
}

/** An answer of `answer()` that is an HTTP error, shaped as OpenAI's are. */
export class ChatError extends Error {
  readonly status: number

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ChatError'
    this.status = status
  }
}

/**
 * Serves `POST /v1/chat/completions` (whole or streamed) and `GET /v1/models` on loopback for whatever
 * `answer` says. Shape: https://platform.openai.com/docs/api-reference/chat
 */
export async function startChatServer(options: ChatServerOptions): Promise<ChatServer> {
  const server = createServer((request, response) => void serve(request, response, options))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The chat server has no port')
  return {
    url: `http://127.0.0.1:${address.port}/v1`,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()))
        server.closeAllConnections()
      }),
  }
}

/** A conversation with every tool result in it is well below; an endless body is not. */
const MAX_BODY = 16 * 1024 * 1024

async function serve(request: IncomingMessage, response: ServerResponse, options: ChatServerOptions) {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  try {
    const path = new URL(request.url ?? '/', 'http://loopback').pathname
    if (path === '/v1/models' && request.method === 'GET') {
      const model = { id: options.model, object: 'model', created: 0, owned_by: 'holdpoint' }
      sendJson(response, 200, { object: 'list', data: [model] })
    } else if (path === '/v1/chat/completions' && request.method === 'POST') {
      const asked = parseChatRequest(await readBody(request))
      send(response, asked, await options.answer(asked, gone.signal), options)
    } else {
      throw new ChatError(404, `Nothing is served at ${request.method} ${path}`)
    }
  } catch (error) {
    if (!gone.signal.aborted) sendError(response, error)
  }
}

function send(response: ServerResponse, request: ChatRequest, answer: ChatAnswer, speaker: Speaker) {
  if (!request.stream) return sendJson(response, 200, completion(request, answer, speaker))
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  for (const chunk of completionChunks(request, answer, speaker)) {
    response.write(`data: ${JSON.stringify(chunk)}\n\n`)
  }
  response.end('data: [DONE]\n\n')
}

function sendJson(response: ServerResponse, status: number, body: unknown) {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function sendError(response: ServerResponse, error: unknown) {
  const status = error instanceof ChatError ? error.status : error instanceof BadRequest ? 400 : 500
  const message = error instanceof Error ? error.message : String(error)
  const type = status < 500 ? 'invalid_request_error' : 'server_error'
  // The rest of a body that is too long is not read: the connection has to go with it.
  if (status === 413) response.setHeader('connection', 'close')
  sendJson(response, status, { error: { message, type, param: null, code: null } })
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  // Not destroyed on the way out: the refusal still has to be sent on the same connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY) throw new ChatError(413, `The body is over ${MAX_BODY} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
