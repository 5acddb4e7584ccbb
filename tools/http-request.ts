import { request, type Agent, type Dispatcher } from 'undici'
import { ToolError } from './define.ts'
import { checkUrl, guardedAgent, type HttpAccess } from './http-guard.ts'

export interface HttpRequest {
  url: string
  method: Dispatcher.HttpMethod
  headers: Record<string, string>
  body?: string
}

export interface HttpResponse {
  status: number
  headers: Record<string, string | string[] | undefined>
  bytes: Buffer
  truncated: boolean
}

const MAX_REDIRECTS = 3
const WAIT_MS = 10_000

/**
 * One request, its redirects included, each of which is checked from the start. `allow` is asked of each before it is
 * sent, and throws where it may not be. At most `maxBytes` are read.
 */
export async function guardedRequest(
  first: HttpRequest,
  access: HttpAccess,
  {
    maxBytes,
    signal,
    allow,
  }: { maxBytes: number; signal: AbortSignal; allow: (redirect: HttpRequest) => void },
): Promise<HttpResponse> {
  const agent = guardedAgent(access)
  try {
    let next: HttpRequest = first
    for (let redirects = 0; ; redirects++) {
      const url = checkUrl(next.url, access)
      const response = await send(agent, url, next, signal)
      const location = redirectOf(response)
      if (location === undefined) return { ...(await readBody(response, maxBytes)), ...statusOf(response) }
      response.body.on('error', () => {}).destroy()
      if (redirects === MAX_REDIRECTS) throw new ToolError('DENIED', `More than ${MAX_REDIRECTS} redirects.`)
      next = follow(next, url, location, response.statusCode)
      allow(next)
    }
  } catch (error) {
    throw explain(error, signal)
  } finally {
    await agent.destroy()
  }
}

async function send(agent: Agent, url: URL, { method, headers, body }: HttpRequest, signal: AbortSignal) {
  return await request(url, {
    dispatcher: agent,
    method,
    // Compressed bytes could not be shown, and decompressing is a bomb's way in.
    headers: { 'user-agent': 'holdpoint', ...headers, 'accept-encoding': 'identity' },
    body,
    signal,
    headersTimeout: WAIT_MS,
    bodyTimeout: WAIT_MS,
  })
}

/** What the network said, for the model: the code alone, because its messages name addresses. */
function explain(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof ToolError || signal.aborted) return error
  if (!(error instanceof Error && 'code' in error)) return error
  const code = String(error.code)
  const isTimeout = /TIMEOUT|TIMEDOUT/.test(code)
  return new ToolError(isTimeout ? 'TIMEOUT' : 'INTERNAL', `The request failed (${code}).`, { cause: error })
}

function redirectOf({ statusCode, headers }: Dispatcher.ResponseData): string | undefined {
  const { location } = headers
  return [301, 302, 303, 307, 308].includes(statusCode) && typeof location === 'string' ? location : undefined
}

function follow(request: HttpRequest, from: URL, location: string, status: number): HttpRequest {
  const to = URL.parse(location, from)
  if (to === null) throw new ToolError('DENIED', 'The redirect leads to an invalid URL.')
  if (from.protocol === 'https:' && to.protocol !== 'https:') {
    throw new ToolError('DENIED', 'The redirect leads from https to http.')
  }
  const keeps = status === 307 || status === 308
  const safe = request.method === 'GET' || request.method === 'HEAD'
  // What was approved is this body to this host, and no other.
  if (keeps && !safe && to.host !== from.host) {
    throw new ToolError(
      'DENIED',
      `The redirect would send the request on to ${to.host}. Ask for that URL itself.`,
    )
  }
  const headers = to.host === from.host ? request.headers : {}
  if (keeps || safe) return { ...request, url: to.href, headers }
  return { url: to.href, method: 'GET', headers }
}

function statusOf({ statusCode, headers }: Dispatcher.ResponseData) {
  return { status: statusCode, headers }
}

async function readBody({ body }: Dispatcher.ResponseData, maxBytes: number) {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size > maxBytes) break
  }
  return { bytes: Buffer.concat(chunks).subarray(0, maxBytes), truncated: size > maxBytes }
}
