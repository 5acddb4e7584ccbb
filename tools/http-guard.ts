import { lookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import { Agent, buildConnector } from 'undici'
import { serviceKey } from '../runtime/services.ts'
import { ToolError } from './define.ts'
import { isPublicAddress } from './public-address.ts'

/** Where `http_fetch` may go. With no hosts it goes nowhere. */
export interface HttpAccess {
  /** Exact host names, each with the scheme's own port, or `name:port`. No wildcards. */
  hosts: string[]
  /** Origins as `host:port` that may have a private address: for services of the operator's own. */
  allowPrivate?: string[]
  /** All addresses of a name; by default the system's resolver. */
  resolve?: (hostname: string) => Promise<string[]>
}

export const HTTP_ACCESS = serviceKey<HttpAccess>('http_access')

const CONNECT_MS = 5_000

/** The first of four checks: what the URL says. Throws `ToolError`. */
export function checkUrl(text: string, access: HttpAccess): URL {
  // The URL parser would drop or turn these, and another parser behind us might not.
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u0020\u007f\\]/.test(text))
    throw denied('The URL has a space, a backslash or a control character.')
  const url = URL.parse(text)
  if (url === null)
    throw new ToolError('INVALID_ARGS', 'The URL is not valid. Give an absolute http or https URL.')
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw denied('Only http and https URLs are fetched.')
  if (url.username !== '' || url.password !== '')
    throw denied('The URL must not have a user name or password.')
  if (url.hostname.endsWith('.')) throw denied('The host must not end with a dot.')
  if (!listed(url, access)) {
    const known = [...access.hosts, ...(access.allowPrivate ?? [])]
    const hint = known.length === 0 ? 'No host is.' : `Allowed: ${known.join(', ')}.`
    throw denied(`${url.host} is not on the list of allowed hosts. ${hint}`)
  }
  return url
}

/**
 * An agent that makes the other three checks whenever it connects: a literal address before, every answer of the
 * resolver before, of which it connects to one that was checked, and the socket's peer after. Close it.
 */
export function guardedAgent(access: HttpAccess): Agent {
  return new Agent({
    connect(options, callback) {
      const hostname = options.hostname.replace(/^\[|\]$/g, '')
      const exempt = mayBePrivate(hostname, options.port || defaultPort(options.protocol), access)
      const accept = (address: string) => exempt || isPublicAddress(address)
      if (isIP(hostname) !== 0 && !accept(hostname)) return callback(notPublic(hostname), null)
      const connect = buildConnector({
        lookup: checkedLookup(access.resolve ?? systemResolve, accept),
        timeout: CONNECT_MS,
        autoSelectFamily: false,
        maxCachedSessions: 0,
      })
      connect(options, (...result) => {
        const [error, socket] = result
        if (error === null && !accept(socket.remoteAddress ?? '')) {
          socket.destroy()
          return callback(notPublic(hostname), null)
        }
        callback(...result)
      })
    },
  })
}

function checkedLookup(
  resolve: (hostname: string) => Promise<string[]>,
  accept: (address: string) => boolean,
): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname).then(
      (addresses) => {
        const chosen = addresses.find((address) => isIP(address) === 4) ?? addresses[0]
        if (chosen === undefined)
          return callback(new ToolError('INTERNAL', `${hostname} has no address.`), '')
        // One private answer among public ones is an attack or a mistake, and which one is used is luck.
        if (!addresses.every(accept)) return callback(notPublic(hostname), '')
        if (options.all) return callback(null, [{ address: chosen, family: isIP(chosen) }])
        callback(null, chosen, isIP(chosen))
      },
      (error: Error) => callback(error, ''),
    )
  }
}

async function systemResolve(hostname: string): Promise<string[]> {
  const answers = await lookup(hostname, { all: true })
  return answers.map((answer) => answer.address)
}

function listed(url: URL, access: HttpAccess): boolean {
  const port = url.port || defaultPort(url.protocol)
  if (mayBePrivate(url.hostname.replace(/^\[|\]$/g, ''), port, access)) return true
  return access.hosts.map(parseEntry).some((entry) => {
    return entry.hostname === url.hostname && (entry.port ?? defaultPort(url.protocol)) === port
  })
}

function mayBePrivate(hostname: string, port: string, access: HttpAccess): boolean {
  return (access.allowPrivate ?? []).map(parseEntry).some((entry) => {
    if (entry.port === undefined)
      throw new Error(`allowPrivate: "${entry.hostname}" needs a port, such as "127.0.0.1:8080".`)
    return entry.hostname.replace(/^\[|\]$/g, '') === hostname && entry.port === port
  })
}

/** The operator's spelling, normalised as the URL parser normalises the model's. */
function parseEntry(entry: string): { hostname: string; port?: string } {
  const url = URL.parse(`http://${entry}`)
  const plain =
    url !== null && url.pathname === '/' && url.username === '' && !/[*/\\@?#]|\.(:|$)/.test(entry)
  if (!plain)
    throw new Error(`"${entry}" is not a host. Write it as "api.example.com" or "api.example.com:8443".`)
  return { hostname: url.hostname, port: /:(\d+)$/.exec(entry)?.[1] }
}

function defaultPort(protocol: string): string {
  return protocol === 'https:' ? '443' : '80'
}

function notPublic(hostname: string): ToolError {
  return denied(`${hostname} has an address that is not public.`)
}

function denied(message: string): ToolError {
  return new ToolError('DENIED', message)
}
