import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseEnv } from 'node:util'
import { z } from 'zod'
import { RuntimeError } from '../runtime/errors.ts'
import { addToEnvironment } from './config.ts'
import type { Graph, Graphs } from '../runtime/ports.ts'

const LangGraphJson = z.looseObject({
  graphs: z.record(
    z.string().regex(/^[\w-]{1,100}$/, 'graph ids are letters, digits, - and _'),
    z.union([z.string(), z.object({ path: z.string() }).transform(({ path }) => path)]),
  ),
  /** Settings of the project's own: a file of `NAME=value` lines, or an object. */
  env: z.union([z.string(), z.record(z.string(), z.string())]).optional(),
})

/** What the LangGraph CLI reads and we do not yet. Without it a project would run otherwise than its author meant. */
const UNREAD = {
  auth: 'it would be served without its authentication',
  http: 'its own routes and origins would be missing',
}

/** Files that Node runs as they are, because they are ours; a user's TypeScript may be of any kind. */
const OURS = new URL('..', import.meta.url).href

type Factory = (config: Record<string, unknown>) => unknown

/** Loads every graph that the `langgraph.json` names. Throws with the file, the export and the cause of the first that fails. */
export async function loadGraphs(configFile: string): Promise<Graphs> {
  const { graphs, env } = await readConfig(configFile)
  const base = dirname(resolve(configFile))
  await applyEnv(env, base)
  if (Object.values(graphs).some((spec) => needsTsx(spec, base))) await registerTsx(base)
  const loaded = new Map<string, Graph | Factory>()
  for (const [id, spec] of Object.entries(graphs)) loaded.set(id, await load(id, spec, base))
  return {
    ids: () => [...loaded.keys()],
    async get(graphId, config) {
      const found = loaded.get(graphId)
      if (found === undefined)
        throw new RuntimeError('graph_not_found', `Graph "${graphId}" is not served here.`)
      return typeof found === 'function' ? compiled(graphId, await found({ configurable: config })) : found
    },
  }
}

async function readConfig(configFile: string): Promise<z.output<typeof LangGraphJson>> {
  let text: string
  try {
    text = await readFile(configFile, 'utf8')
  } catch (cause) {
    throw new Error(`Cannot read ${configFile}. Create it, or set HOLDPOINT_CONFIG to your langgraph.json.`, {
      cause,
    })
  }
  let config: z.output<typeof LangGraphJson>
  try {
    config = LangGraphJson.parse(JSON.parse(text))
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause)
    throw new Error(`${configFile} is not a langgraph.json: ${why.replaceAll('\n', ' ')}`, { cause })
  }
  for (const [key, consequence] of Object.entries(UNREAD)) {
    if (!(key in config)) continue
    throw new Error(
      `${configFile} sets "${key}", which Holdpoint does not read yet: ${consequence}. Remove it to serve the graphs without.`,
    )
  }
  return config
}

async function applyEnv(env: z.output<typeof LangGraphJson>['env'], base: string): Promise<void> {
  if (env === undefined) return
  const given = typeof env === 'string' ? parseEnv(await readEnv(resolve(base, env))) : env
  addToEnvironment(given)
}

async function readEnv(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new Error(
      `Cannot read ${file}, which langgraph.json names as "env". Create it, or remove the entry.`,
      {
        cause,
      },
    )
  }
}

function needsTsx(spec: string, base: string): boolean {
  const { href } = pathToFileURL(resolve(base, splitSpec(spec).file))
  return !href.startsWith(OURS) && /\.[mc]?tsx?$/.test(href)
}

/** From now on the process also imports what Node refuses: `.tsx`, enums, paths of a tsconfig, imports without extension. */
async function registerTsx(base: string): Promise<void> {
  // Half a second that projects of plain JavaScript need not wait for.
  const { register } = await import('tsx/esm/api')
  const tsconfig = join(base, 'tsconfig.json')
  register(existsSync(tsconfig) ? { tsconfig } : { tsconfig: false })
}

function splitSpec(spec: string): { file: string; name: string } {
  const at = spec.lastIndexOf(':')
  return at > 1 ? { file: spec.slice(0, at), name: spec.slice(at + 1) } : { file: spec, name: 'default' }
}

async function load(id: string, spec: string, base: string): Promise<Graph | Factory> {
  const { file, name } = splitSpec(spec)
  try {
    const module = (await import(pathToFileURL(resolve(base, file)).href)) as Record<string, unknown>
    const exported = await module[name]
    if (exported === undefined) throw new Error(`it has no export "${name}"`)
    return typeof exported === 'function' ? (exported as Factory) : compiled(id, exported)
  } catch (cause) {
    throw new Error(
      `Graph "${id}" does not load from ${file}, export "${name}": ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause,
      },
    )
  }
}

/** Recognised by shape: a project may have its own copy of LangGraph. */
function compiled(id: string, value: unknown): Graph {
  if (typeof value === 'object' && value !== null) {
    if ('streamEvents' in value && 'getState' in value) return value as Graph
    if ('compile' in value && typeof value.compile === 'function')
      return (value.compile as () => Graph).call(value)
  }
  throw new Error(`"${id}" is no graph: export a compiled graph, a builder, or a function that returns one.`)
}
