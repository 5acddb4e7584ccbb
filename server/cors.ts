import type { Config } from './config.ts'
import type { CorsRules } from './guard.ts'
import type { Project } from './project.ts'

/** The environment's origins and those of the project. Throws where every page there is could decide an approval. */
export function corsOf(
  { corsOrigins }: Pick<Config, 'corsOrigins'>,
  { http, authority }: Pick<Project, 'http' | 'authority'>,
): CorsRules {
  const cors = http?.cors
  if (cors === undefined) return { origins: corsOrigins }
  if (cors.allow_origins.includes('*') && (!authority.authenticates || cors.allow_credentials)) {
    throw new Error(
      `http.cors.allow_origins of langgraph.json is "*", ${authority.authenticates ? 'with allow_credentials' : 'and there is no "auth"'}: any page that somebody opens could release what is held. Name the origins.`,
    )
  }
  return {
    origins: [...corsOrigins, ...cors.allow_origins],
    pattern: cors.allow_origin_regex === undefined ? undefined : wholly(cors.allow_origin_regex),
    credentials: cors.allow_credentials,
    methods: cors.allow_methods,
    headers: cors.allow_headers,
    expose: cors.expose_headers,
    maxAgeSeconds: cors.max_age,
  }
}

/** An origin has to match from its first character to its last, or `example.com` would let `example.com.evil.org` in. */
function wholly(pattern: string): RegExp {
  try {
    return new RegExp(`^(?:${pattern})$`)
  } catch (cause) {
    throw new Error(`http.cors.allow_origin_regex of langgraph.json is no regular expression: ${pattern}`, {
      cause,
    })
  }
}
