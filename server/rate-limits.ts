import { createHash } from 'node:crypto'
import type { HttpBindings } from '@hono/node-server'
import type { Context, HonoRequest, MiddlewareHandler } from 'hono'
import ipaddr from 'ipaddr.js'
import { RuntimeError } from '../runtime/errors.ts'
import type { Person } from '../runtime/people.ts'
import type { Log } from '../runtime/ports.ts'
import { keyIn, WrongKey } from './keys.ts'

const MINUTE_MS = 60_000
/** How long what was let in is let in, whatever else comes from its address. */
const KNOWN_MS = 3_600_000
/** Addresses, keys and people that are counted at a time. Of more, those that came first are forgotten. */
const MOST = 10_000

export class RateLimited extends RuntimeError {
  readonly retryAfterSeconds: number

  constructor(message: string, ms: number) {
    const seconds = Math.max(1, Math.ceil(ms / 1_000))
    super('rate_limited', `${message} Try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.`)
    this.retryAfterSeconds = seconds
  }
}

/** Of this process alone: each server counts for itself. */
export interface RateLimits {
  /** Refuses keys and links from an address that has tried too many wrong ones, before anything is asked about them. */
  guard: MiddlewareHandler
  /** Says of a request that its key was right. */
  letIn(request: Request): void
  /** Counts one word on approvals. Throws `rate_limited`. */
  word(by: Person): void
  /** How often it was refused. */
  refused(): number
}

interface Limits {
  /** Of an address, in a minute. 0: any number, as in the other. */
  wrongKeys: number
  /** Of a person, in a minute, and as many at once. */
  decisions: number
  /** How many proxies stand in front, each of which adds to `X-Forwarded-For` who called it. */
  proxies: number
}

export function createRateLimits(
  { wrongKeys, decisions, proxies }: Limits,
  { log, now = () => performance.now() }: { log: Log; now?: () => number },
): RateLimits {
  const wrong = new Map<string, { since: number; tried: Set<string> }>()
  const known = new Map<string, number>()
  const words = new Map<string, { left: number; at: number }>()
  const admitted = new WeakSet<Request>()
  let refused = 0

  function check(address: string, tried: string): void {
    const tries = wrong.get(address)
    if (tries === undefined) return
    const left = tries.since + MINUTE_MS - now()
    if (left <= 0) wrong.delete(address)
    // One wrong key that is sent over and over guesses nothing.
    if (left <= 0 || tries.tried.size < wrongKeys || tries.tried.has(tried)) return
    if (now() - (known.get(tried) ?? -Infinity) < KNOWN_MS) return
    refused += 1
    throw new RateLimited('Too many wrong keys or links came from your address.', left)
  }

  function wasWrong(address: string, tried: string): void {
    known.delete(tried)
    const tries = wrong.get(address) ?? { since: now(), tried: new Set() }
    if (tries.tried.size >= wrongKeys) return
    keep(wrong, address, tries)
    tries.tried.add(tried)
    if (tries.tried.size === wrongKeys)
      log.warn('An address tries wrong keys or links: for a minute it is asked to wait', { address })
  }

  return {
    async guard(c, next) {
      const given = wrongKeys === 0 ? undefined : givenIn(c.req)
      if (given === undefined) return await next()
      const [address, tried] = [addressOf(c, proxies), createHash('sha256').update(given).digest('base64')]
      check(address, tried)
      await next()
      const { status } = c.res
      const link = isLink(c.req)
      if (link ? [401, 410].includes(status) : c.error instanceof WrongKey) wasWrong(address, tried)
      else if (link ? [200, 403, 409].includes(status) : admitted.has(c.req.raw)) keep(known, tried, now())
    },
    letIn: (request) => void admitted.add(request),
    word({ identity, tenant, alone }) {
      if (alone || decisions === 0) return
      const name = JSON.stringify([tenant, identity])
      const [each, at] = [MINUTE_MS / decisions, now()]
      const before = words.get(name) ?? { left: decisions, at }
      const left = Math.min(decisions, before.left + (at - before.at) / each)
      keep(words, name, { left: left < 1 ? left : left - 1, at })
      if (left >= 1) return
      refused += 1
      throw new RateLimited(
        `${identity} has said more than ${decisions} words on approvals in a minute.`,
        (1 - left) * each,
      )
    },
    refused: () => refused,
  }
}

/** What has to be right of a request; `undefined`: it brings nothing that could be. */
function givenIn(req: HonoRequest): string | undefined {
  return isLink(req) ? `${req.path} ${req.header('webhook-signature') ?? ''}` : keyIn(req.raw.headers)
}

function isLink({ path }: HonoRequest): boolean {
  return path.startsWith('/webhooks/approvals/')
}

/** Whose neighbour it is: of IPv6 the network, because whoever has one has all of its addresses. */
function addressOf(c: Context, proxies: number): string {
  const forwarded = (c.req.header('x-forwarded-for') ?? '').split(',').map((one) => one.trim())
  // What stands before that is what the caller says of themselves.
  const told = proxies === 0 ? undefined : forwarded.at(-proxies)
  const socket = (c.env as Partial<HttpBindings> | undefined)?.incoming?.socket.remoteAddress
  const text = told !== undefined && ipaddr.isValid(told) ? told : (socket ?? '')
  if (!ipaddr.isValid(text)) return text
  const address = ipaddr.process(text)
  return address.kind() === 'ipv4'
    ? address.toString()
    : `${(address as ipaddr.IPv6).parts
        .slice(0, 4)
        .map((part) => part.toString(16))
        .join(':')}::/64`
}

function keep<Value>(map: Map<string, Value>, name: string, value: Value): void {
  map.delete(name)
  map.set(name, value)
  const [oldest] = map.keys()
  if (map.size > MOST && oldest !== undefined) map.delete(oldest)
}
