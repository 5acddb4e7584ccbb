import type { Fleet } from './fleet.ts'
import type { Random } from './random.ts'

export interface Answer {
  status: number
  headers: Headers
  json<T>(): T
  text: string
}

/** The servers, as a client behind a load balancer sees them: any of them, without knowing which. */
export interface Door {
  /** One try. Throws `NoAnswer` where it is not known whether the server did it. */
  ask(method: string, path: string, body?: unknown): Promise<Answer>
  /** Asks until there is an answer: for what may be asked twice. */
  insist(method: string, path: string, body?: unknown): Promise<Answer>
  /** Opens a stream. Throws `NoAnswer`. */
  open(
    path: string,
    options: { method?: string; body?: unknown; lastEventId?: number; signal: AbortSignal },
  ): Promise<Response>
}

/** The server died, or its database did: it may have done what it was asked, or not. */
export class NoAnswer extends Error {}

const RETRY_MS = 100

export function createDoor(fleet: Fleet, random: Random, signal: AbortSignal): Door {
  const request = async (
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string>,
    until: AbortSignal,
  ) => {
    const url = await fleet.url(random)
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: until,
      })
      if (response.status < 500) return response
      fleet.tally.add(`answers ${response.status}`)
      await response.body?.cancel()
      throw new NoAnswer(`${method} ${path} was answered with ${response.status}`)
    } catch (cause) {
      signal.throwIfAborted()
      if (cause instanceof NoAnswer) throw cause
      throw new NoAnswer(`${method} ${path} was not answered`, { cause })
    }
  }
  const door: Door = {
    async ask(method, path, body) {
      const response = await request(method, path, body, {}, signal)
      try {
        const text = await response.text()
        return {
          status: response.status,
          headers: response.headers,
          text,
          json: <T>() => JSON.parse(text) as T,
        }
      } catch (cause) {
        signal.throwIfAborted()
        throw new NoAnswer(`${method} ${path} broke off`, { cause })
      }
    },
    async insist(method, path, body) {
      for (;;) {
        try {
          return await door.ask(method, path, body)
        } catch (error) {
          if (!(error instanceof NoAnswer)) throw error
          await pause(signal)
        }
      }
    },
    open(path, { method = 'GET', body, lastEventId, signal: until }) {
      const headers: Record<string, string> =
        lastEventId === undefined ? {} : { 'last-event-id': String(lastEventId) }
      return request(method, path, body, headers, until)
    },
  }
  return door
}

/** A moment before the next try, unless everything ends. */
export async function pause(signal: AbortSignal, ms = RETRY_MS): Promise<void> {
  await new Promise((done) => setTimeout(done, ms))
  signal.throwIfAborted()
}
