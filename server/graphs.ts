import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { RuntimeError } from '../runtime/errors.ts'
import type { Graph, Graphs } from '../runtime/ports.ts'

const LangGraphJson = z.looseObject({
  graphs: z.record(
    z.string().regex(/^[\w-]{1,100}$/, 'graph ids are letters, digits, - and _'),
    z.union([z.string(), z.object({ path: z.string() }).transform(({ path }) => path)]),
  ),
})

type Factory = (config: Record<string, unknown>) => unknown

/** Loads every graph that the `langgraph.json` names. Throws with the file, the export and the cause of the first that fails. */
export async function loadGraphs(configFile: string): Promise<Graphs> {
  const { graphs } = await readConfig(configFile)
  const loaded = new Map<string, Graph | Factory>()
  for (const [id, spec] of Object.entries(graphs))
    loaded.set(id, await load(id, spec, dirname(resolve(configFile))))
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
  try {
    return LangGraphJson.parse(JSON.parse(text))
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause)
    throw new Error(`${configFile} is not a langgraph.json: ${why.replaceAll('\n', ' ')}`, { cause })
  }
}

async function load(id: string, spec: string, base: string): Promise<Graph | Factory> {
  const at = spec.lastIndexOf(':')
  const [file, name] = at > 1 ? [spec.slice(0, at), spec.slice(at + 1)] : [spec, 'default']
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
