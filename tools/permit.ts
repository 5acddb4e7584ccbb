import type { ToolCallContext } from './define.ts'

/** The contexts that the executor made, each for one execution by one tool's `run`. */
const permits = new WeakMap<ToolCallContext, unknown>()
const guarded = new WeakSet()

/** Lets this tool run once with that context. The executor alone may say so: it has asked the grant. */
export function permit({ run }: { run: unknown }, call: ToolCallContext): ToolCallContext {
  permits.set(call, run)
  return call
}

/** The same, but that it calls `refuse` where nobody permitted it: a graph, or another tool, called it past the executor. */
export function onlyPermitted<Args>(
  run: (args: Args, call: ToolCallContext) => Promise<unknown>,
  refuse: () => never,
): (args: Args, call: ToolCallContext) => Promise<unknown> {
  // A tool that is made of another's parts has its guard already.
  if (guarded.has(run)) return run
  const only = async function (this: unknown, args: Args, call: ToolCallContext) {
    if (permits.get(call) !== only) refuse()
    permits.delete(call)
    return await run.call(this, args, call)
  }
  guarded.add(only)
  return only
}
