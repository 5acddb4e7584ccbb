import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { type RequestInit as UndiciInit, fetch as undiciFetch } from 'undici'
import { checkUrl, guardedAgent, type HttpAccess } from '../http-guard.ts'

/** Bytes of one answer, or of one stream of events. */
const MAX_RESPONSE = 8 * 1024 * 1024

/**
 * A server that is reached by streamable HTTP, through the guard of http_fetch: its own host alone, no redirects, and a
 * public address unless `allowPrivate`.
 */
export function httpTransport(
  address: string,
  { headers, allowPrivate }: { headers: Record<string, string>; allowPrivate: boolean },
): { transport: StreamableHTTPClientTransport; close: () => Promise<void> } {
  const url = new URL(address)
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  const origin = `${url.hostname}:${port}`
  const access: HttpAccess = allowPrivate ? { hosts: [], allowPrivate: [origin] } : { hosts: [origin] }
  const agent = guardedAgent(access)
  const transport = new StreamableHTTPClientTransport(url, {
    requestInit: { headers },
    reconnectionOptions: {
      maxRetries: 0,
      initialReconnectionDelay: 1_000,
      maxReconnectionDelay: 1_000,
      reconnectionDelayGrowFactor: 1,
    },
    fetch: async (target, init) => {
      const checked = checkUrl(String(target), access)
      const options = { ...init, dispatcher: agent, redirect: 'error' } as unknown as UndiciInit
      return bounded((await undiciFetch(checked, options)) as unknown as Response)
    },
  })
  return { transport, close: () => agent.destroy() }
}

/** The same answer, which breaks off where it gets too long. */
function bounded(response: Response): Response {
  const { body, status, statusText, headers } = response
  if (body === null) return response
  let size = 0
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      size += chunk.byteLength
      if (size > MAX_RESPONSE)
        controller.error(new Error(`The MCP server sent more than ${MAX_RESPONSE} bytes.`))
      else controller.enqueue(chunk)
    },
  })
  return new Response(body.pipeThrough(counter), { status, statusText, headers })
}
