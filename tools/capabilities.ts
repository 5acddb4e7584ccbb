import { type Services, type ServiceKey } from '../runtime/services.ts'
import { type FileEntry, type Workspaces, WORKSPACES } from '../runtime/workspaces.ts'
import { type Tool, ToolError } from './define.ts'
import { HTTP_ACCESS, type HttpAccess } from './http-guard.ts'
import { guardedRequest, type HttpRequest } from './http-request.ts'
import { globMatches } from './policy/condition.ts'
import { qualified, SQL_ACCESS } from './sql/access.ts'
import { readFrom } from './sql/read-from.ts'
import type { Rows } from './sql/read-rows.ts'
import { forModel } from './workspace-errors.ts'

/** What a tool needs of the outside. What it is handed reaches that, and nothing where it says nothing. */
export interface Capabilities {
  /** Of `fetch`: exact names, each with the scheme's own port, or `name:port`. No wildcards. */
  hosts?: string[]
  /** Of `files`: paths of the thread's workspace; `*` is any text, `?` one character. */
  paths?: string[]
  /** Of `query`: tables and views that the operator lets agents read; the schema is `public` where none is said. */
  tables?: string[]
}

/** What a call is handed of the outside. */
export interface Reach {
  /** A request to a host that the tool declares, as `http_fetch` makes it: public addresses, three redirects, 8 MB. */
  fetch(url: string | URL, init?: Partial<Omit<HttpRequest, 'url'>>): Promise<Response>
  files: ThreadFiles
  /** One SELECT of the tables that the tool declares. */
  query(text: string, options?: { maxRows?: number }): Promise<Rows>
  /** For tools without `capabilities`: a service could reach anything. */
  service<T>(key: ServiceKey<T>): T
}

/** The files of the call's thread, as far as the tool declares their paths. */
export interface ThreadFiles {
  list(path?: string): Promise<FileEntry[]>
  read(
    path: string,
    range?: { offset?: number; limit?: number },
  ): Promise<{ bytes: Uint8Array; size: number }>
  write(path: string, bytes: Uint8Array | string): Promise<FileEntry>
  remove(path: string): Promise<void>
}

const MAX_ANSWER = 8 * 1024 * 1024
const MAX_ROWS = 500
/** A `Response` of these takes no body. */
const BODILESS = [204, 205, 304]

export function reachOf(
  { name, capabilities }: Pick<Tool, 'name' | 'capabilities'>,
  threadId: string,
  services: Services,
  signal: AbortSignal,
): Reach {
  const { hosts = [], paths = [], tables = [] } = capabilities ?? {}
  return {
    fetch: (url, init) => fetchOf(hosts, services.find(HTTP_ACCESS), { ...init, url: String(url) }, signal),
    files: filesOf(name, paths, threadId, () => services.get(WORKSPACES)),
    async query(text, { maxRows = 100 } = {}) {
      const database = services.find(SQL_ACCESS)?.reading
      const declared = tables.map(qualified)
      const readable = (database?.readable ?? []).filter((table) => declared.includes(table))
      return await readFrom(database && { ...database, readable }, text, Math.min(maxRows, MAX_ROWS), signal)
    },
    service(key) {
      if (capabilities === undefined) return services.get(key)
      throw new Error(`${name} declares its capabilities: it has call.fetch, call.files and call.query.`)
    },
  }
}

async function fetchOf(
  hosts: string[],
  operators: HttpAccess | undefined,
  { url, method = 'GET', headers = {}, body }: Partial<HttpRequest> & { url: string },
  signal: AbortSignal,
): Promise<Response> {
  const { allowPrivate = [], resolve } = operators ?? {}
  // A private address is the operator's to allow, whatever a tool says.
  const access = { hosts, allowPrivate: allowPrivate.filter((origin) => hosts.includes(origin)), resolve }
  const request = { url, method, headers, ...(body === undefined ? {} : { body }) }
  const answer = await guardedRequest(request, access, { maxBytes: MAX_ANSWER, signal, allow: () => {} })
  if (answer.truncated) throw new ToolError('INTERNAL', `The answer has more than ${MAX_ANSWER} bytes.`)
  const named = Object.entries(answer.headers).flatMap(([key, values = []]) =>
    [values].flat().map((value): [string, string] => [key, value]),
  )
  const bytes = BODILESS.includes(answer.status) ? null : new Uint8Array(answer.bytes)
  return new Response(bytes, { status: answer.status, headers: named })
}

function filesOf(name: string, paths: string[], threadId: string, workspaces: () => Workspaces): ThreadFiles {
  const isDeclared = (path: string) => paths.some((glob) => globMatches(glob, path))
  function check(path: string): void {
    const known = paths.length === 0 ? 'no path' : paths.join(', ')
    if (!isDeclared(path))
      throw new ToolError('DENIED', `${name} does not reach ${path}: it declares ${known}.`)
  }
  return {
    async list(path) {
      return (await forModel(workspaces().list(threadId, path))).filter((file) => isDeclared(file.path))
    },
    async read(path, range) {
      check(path)
      return await forModel(workspaces().read(threadId, path, range))
    },
    async write(path, bytes) {
      check(path)
      return await forModel(workspaces().write(threadId, path, Buffer.from(bytes)))
    },
    async remove(path) {
      check(path)
      await forModel(workspaces().remove(threadId, path))
    },
  }
}
