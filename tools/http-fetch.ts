import { z } from 'zod'
import { type Json, toJson } from '../runtime/json.ts'
import { cleanText } from './clean-text.ts'
import { decodePiece } from './decode-piece.ts'
import { defineTool, ToolError } from './define.ts'
import { HTTP_ACCESS } from './http-guard.ts'
import { guardedRequest, type HttpRequest, type HttpResponse } from './http-request.ts'
import { inForce } from './policy/current.ts'
import { decide } from './policy/decide.ts'

const MAX_BODY = 64 * 1024
/** Those that steer the connection, or speak for a browser. */
const FORBIDDEN =
  /^(host|connection|keep-alive|content-length|transfer-encoding|accept-encoding|te|trailer|upgrade|expect|cookie|proxy-.*|sec-.*)$/i
const SHOWN = [
  'cache-control',
  'content-language',
  'content-length',
  'date',
  'etag',
  'last-modified',
  'link',
  'location',
  'retry-after',
]

const headerName = z
  .string()
  .max(100)
  .regex(/^[a-z0-9-]+$/i, 'a header name has letters, digits and hyphens')
const headerValue = z
  .string()
  .max(1_000)
  .regex(/^[\t\u0020-\u007e]*$/, 'a header value is one line of ASCII')

const Schema = z.object({
  url: z.string().min(1).max(2_048).describe('Absolute, http or https.'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).default('GET'),
  headers: z
    .record(headerName, headerValue)
    .refine((headers) => Object.keys(headers).length <= 20, 'at most 20 headers')
    .optional(),
  body: z.string().max(100_000).optional().describe('Not with GET and HEAD.'),
})
type Args = z.output<typeof Schema>

export const httpFetch = defineTool({
  name: 'http_fetch',
  description:
    'Sends one HTTP request to an allowed host and returns status, some headers and the first 64 KB of the body, as ' +
    'text where it is UTF-8, in base64 otherwise. It follows up to 3 redirects between allowed hosts, keeps no ' +
    'cookies, runs no scripts of a page, and reaches no private or internal address.',
  schema: Schema,
  risk: riskOf,
  effect: ({ method }) => (isRead(method) ? 'none' : 'once'),
  timeoutMs: 20_000,
  // The longest body in base64, and the headers.
  outputLimit: 100_000,

  async run(args, call) {
    const { url, method, headers = {}, body } = args
    const forbidden = Object.keys(headers).find((name) => FORBIDDEN.test(name))
    if (forbidden !== undefined) throw new ToolError('INVALID_ARGS', `The header ${forbidden} cannot be set.`)
    if (isRead(method) && body !== undefined) throw new ToolError('INVALID_ARGS', `${method} takes no body.`)
    const known: Record<string, string> = isRead(method) ? {} : { 'idempotency-key': call.idempotencyKey }
    const request = { url, method, headers: { ...known, ...headers }, body }
    const response = await guardedRequest(request, call.service(HTTP_ACCESS), {
      maxBytes: MAX_BODY,
      signal: call.signal,
      allow: (redirect) => checkRedirect(args, redirect),
    })
    return describe(response)
  },
})

/**
 * Judges a redirect as the same call with that URL. What denies it refuses it; so does what holds it, because nobody can
 * be asked by then, unless the same rules held the call and it stays with the host that people have released.
 */
function checkRedirect(args: Args, redirect: HttpRequest): void {
  const first = rulingOf(args)
  const { url, method, body } = redirect
  const next = rulingOf({ ...args, url, method: method as Args['method'], body })
  if (next.action === 'allow') return
  const isReleased = next.action === 'hold' && first.action === 'hold' && next.rule === first.rule
  if (isReleased && new URL(url).host === new URL(args.url).host) return
  throw new ToolError(
    'DENIED',
    `The redirect to ${new URL(url).host} is not followed. ${next.reason} Ask for that URL itself.`,
  )
}

function rulingOf(args: Args) {
  const { policy, origin } = inForce()
  return decide(policy, {
    tool: 'http_fetch',
    args: toJson(args) as Record<string, Json>,
    risk: riskOf(args),
    origin,
  })
}

function riskOf({ method }: Pick<Args, 'method'>) {
  return isRead(method) ? 'low' : 'medium'
}

function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD'
}

function describe({ status, headers, bytes, truncated }: HttpResponse) {
  const { encoding, content } = decodePiece(bytes, { after: truncated })
  const shown = SHOWN.flatMap((name) => {
    const value = headers[name]
    return typeof value === 'string' ? [[name, cleanText(value)] as const] : []
  })
  const type = headers['content-type']
  return {
    status,
    headers: Object.fromEntries(shown),
    content_type: typeof type === 'string' ? cleanText(type) : null,
    encoding,
    body: content,
    truncated,
  }
}
