import { RuntimeError } from '../runtime/errors.ts'
import type { Graph, Graphs } from '../runtime/ports.ts'
import { importNamed, splitSpec } from './project-module.ts'

type Factory = (config: Record<string, unknown>) => unknown

/** Loads every graph, by its id. Throws with the file, the export and the cause of the first that fails. */
export async function loadGraphs(
  specs: (readonly [id: string, path: string])[],
  base: string,
): Promise<Graphs> {
  const loaded = new Map<string, Graph | Factory>()
  for (const [id, spec] of specs) loaded.set(id, await load(id, spec, base))
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

async function load(id: string, spec: string, base: string): Promise<Graph | Factory> {
  const { file, name } = splitSpec(spec)
  try {
    const exported = await importNamed(spec, base)
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
