import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Hono } from 'hono'
import type { Graphs } from '../runtime/ports.ts'
import type { StoreTtl } from '../runtime/store.ts'
import type { ThreadTtl } from '../runtime/thread.ts'
import { type Authority, createAuthority, NO_AUTHORITY } from './auth.ts'
import { loadGraphs } from './graphs.ts'
import { applyEnv, type HttpSettings, type LangGraphJson, readLangGraphJson } from './langgraph-json.ts'
import { importNamed, prepareFor } from './project-module.ts'

const USUAL = 'langgraph.json'
/** Our own agents, for a first look. */
const OWN = new URL('../langgraph.json', import.meta.url)

export interface Project {
  /** Holdpoint's own agents are served because there is nothing else. */
  bundled: boolean
  graphs: Graphs
  /** What each graph's assistant says of itself. */
  served: { graph_id: string; description: string | null }[]
  authority: Authority
  http: HttpSettings | undefined
  /** Of threads that say nothing else. */
  threadTtl: ThreadTtl | undefined
  storeTtl: StoreTtl
  /** Routes of the project's own. */
  custom: Hono | undefined
}

/** Finds and loads what is to be served. Throws one line that says what does not load, and why. */
export async function loadProject(
  named: string | undefined,
  { studioAuth }: { studioAuth: boolean },
): Promise<Project> {
  const { configFile, bundled } = findProject(named)
  const { graphs, env, auth, http, checkpointer, store } = await readLangGraphJson(configFile)
  const base = dirname(resolve(configFile))
  await applyEnv(env, base)
  const paths = Object.entries(graphs).map(([id, { path }]) => [id, path] as const)
  const specs = [
    ...paths.map(([, path]) => path),
    ...[auth?.path, http?.app].filter((spec) => spec !== undefined),
  ]
  await prepareFor(specs, base)
  return {
    bundled,
    served: Object.entries(graphs).map(([graph_id, { description }]) => ({
      graph_id,
      description: description ?? null,
    })),
    graphs: await loadGraphs(paths, base),
    authority: auth === undefined ? NO_AUTHORITY : await loadAuthority(auth, base, studioAuth),
    http,
    threadTtl: ttlOf(checkpointer?.ttl),
    storeTtl: {
      default: store?.ttl?.default_ttl ?? null,
      refreshOnRead: store?.ttl?.refresh_on_read ?? true,
    },
    custom: http?.app === undefined ? undefined : await loadCustom(http.app, base),
  }
}

function ttlOf(ttl: NonNullable<LangGraphJson['checkpointer']>['ttl']): ThreadTtl | undefined {
  return ttl?.default_ttl == null ? undefined : { strategy: ttl.strategy, ttl_minutes: ttl.default_ttl }
}

function loadAuthority(
  auth: NonNullable<LangGraphJson['auth']>,
  base: string,
  studioAuth: boolean,
): Promise<Authority> {
  return told('auth.path', auth.path, async () =>
    createAuthority(await importNamed(auth.path, base), {
      studio: studioAuth && !auth.disable_studio_auth,
    }),
  )
}

/** Recognised by shape: a project may have its own copy of Hono. */
function loadCustom(spec: string, base: string): Promise<Hono> {
  return told('http.app', spec, async () => {
    const app = await importNamed(spec, base)
    if (typeof app === 'object' && app !== null && 'routes' in app && 'fetch' in app) return app as Hono
    throw new Error('it is no Hono app')
  })
}

async function told<T>(setting: string, spec: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`${setting} of langgraph.json does not load from ${spec}: ${why}`, { cause })
  }
}

/** Where the files beside the langgraph.json are; for Holdpoint's own agents the working directory. */
export function projectFolder(named: string | undefined): string {
  const { configFile, bundled } = findProject(named)
  return resolve(bundled ? '.' : dirname(configFile))
}

/** What to serve: the file that was named, else the folder's own, else the agents that Holdpoint brings. */
function findProject(named: string | undefined): { configFile: string; bundled: boolean } {
  if (named !== undefined) return { configFile: named, bundled: false }
  if (existsSync(USUAL)) return { configFile: USUAL, bundled: false }
  return { configFile: fileURLToPath(OWN), bundled: true }
}
