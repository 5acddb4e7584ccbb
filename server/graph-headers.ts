import type { HttpSettings } from './langgraph-json.ts'

/** Headers that say who somebody is: no graph finds them in its configuration, whatever a project includes. */
const NEVER = ['authorization', 'cookie', 'x-api-key', 'x-tenant-id', 'x-service-key']
const USUAL = ['x-*', 'user-agent']

export type GraphHeaders = (headers: Headers) => Record<string, string>

/** What graphs may read of the request that started them, by `http.configurable_headers` of langgraph.json. */
export function graphHeaders(http: HttpSettings | undefined): GraphHeaders {
  const { include, includes, exclude, excludes } = http?.configurable_headers ?? {}
  const wanted = [...(include ?? []), ...(includes ?? [])]
  const takes = matcher(wanted.length > 0 ? wanted : USUAL)
  const leaves = matcher([...NEVER, ...(exclude ?? []), ...(excludes ?? [])])
  return (headers) => Object.fromEntries([...headers].filter(([name]) => takes(name) && !leaves(name)))
}

function matcher(patterns: string[]): (name: string) => boolean {
  const expressions = patterns.map(
    (pattern) => new RegExp(`^${pattern.toLowerCase().split('*').map(RegExp.escape).join('.*')}$`),
  )
  return (name) => expressions.some((expression) => expression.test(name))
}
