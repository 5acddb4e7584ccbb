import { AsyncLocalStorageProviderSingleton as provider } from '@langchain/core/singletons'

const DEFERRED = Symbol.for('holdpoint.lazy-run-tree')
const CHILD_CONFIG = Symbol.for('lc:child_config')
const VARIABLES = Symbol.for('lc:context_variables')
const TRACING = ['LANGSMITH_TRACING', 'LANGSMITH_TRACING_V2', 'LANGCHAIN_TRACING', 'LANGCHAIN_TRACING_V2']

type RunWithConfig = typeof provider.runWithConfig
interface Store extends Record<PropertyKey, unknown> {
  extra: { [CHILD_CONFIG]: unknown }
}

/**
 * Makes the run tree that LangChain puts around every runnable, for LangSmith's tracing, only when somebody looks at it:
 * nobody does where nothing is traced, and it is a tenth of what a short run costs (`npm run bench:flame`). The config
 * beside it, which LangGraph reads, is there at once. Changes LangChain for the whole process, once; where tracing is on,
 * nothing.
 */
export function deferRunTrees(env: Record<string, string | undefined>): void {
  const mended = provider as typeof provider & { [DEFERRED]?: true }
  if (mended[DEFERRED]) return
  mended[DEFERRED] = true
  const original: RunWithConfig = provider.runWithConfig.bind(provider)
  provider.runWithConfig = (
    config: { callbacks?: unknown } | undefined,
    callback,
    avoidCreatingRootRunTree,
  ) => {
    // A project's own environment comes later than this server.
    const isOn = TRACING.some((name) => env[name] !== undefined)
    if (isOn || avoidCreatingRootRunTree === true || isTraced(config?.callbacks))
      return original(config, callback, avoidCreatingRootRunTree)
    const storage = provider.getInstance()
    const before = storage.getStore() as Record<PropertyKey, unknown> | undefined
    const store: Store = { extra: { [CHILD_CONFIG]: config } }
    if (before?.[VARIABLES] !== undefined) store[VARIABLES] = before[VARIABLES]
    const make = () => original(config, () => provider.getInstance().getStore() as object)
    return storage.run(lazily(store, make), callback)
  }
}

function isTraced(callbacks: unknown): boolean {
  const handlers: unknown = Array.isArray(callbacks)
    ? callbacks
    : (callbacks as { handlers?: unknown } | undefined)?.handlers
  return (
    Array.isArray(handlers) &&
    handlers.some((handler: { name?: string } | undefined) => handler?.name === 'langchain_tracer')
  )
}

/** `store`, which is whatever else `make` returns as soon as anything else of it is asked for. */
function lazily(store: Store, make: () => object): object {
  let made = false
  const complete = (target: Store) => {
    if (made) return target
    made = true
    const tree = make()
    Object.setPrototypeOf(target, Object.getPrototypeOf(tree) as object)
    return Object.assign(target, tree)
  }
  const known = (target: Store, key: PropertyKey) => key === VARIABLES || Object.hasOwn(target, key)
  return new Proxy(store, {
    get: (target, key, receiver): unknown =>
      Reflect.get(known(target, key) ? target : complete(target), key, receiver),
    has: (target, key) => known(target, key) || Reflect.has(complete(target), key),
    ownKeys: (target) => Reflect.ownKeys(complete(target)),
    getOwnPropertyDescriptor: (target, key) => Reflect.getOwnPropertyDescriptor(complete(target), key),
    getPrototypeOf: (target) => Reflect.getPrototypeOf(complete(target)),
  })
}
