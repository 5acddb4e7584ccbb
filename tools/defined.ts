import { argsHash } from '../runtime/call.ts'
import type { Hold } from '../runtime/hold.ts'
import { argsSchemaOf } from './args-schema.ts'
import type { Tool } from './define.ts'

/** Of one name: a graph that is made for each run may define its tools each time. */
const MOST = 16

/** What was defined in this process, by name, the newest first: ours, and a project's once its graphs are loaded. */
const defined = new Map<string, Tool[]>()

export function noteDefined(tool: Tool): void {
  const others = defined.get(tool.name) ?? []
  defined.set(tool.name, [tool, ...others].slice(0, MOST))
}

/**
 * The tool that a hold was asked for: of that name and version, and with that schema, because two graphs may each have a
 * tool of one name. `undefined` where it was not defined in this process, such as on another release's server.
 */
export function definedFor(hold: Pick<Hold, 'tool' | 'tool_version' | 'args_schema'>): Tool | undefined {
  const { tool: name, tool_version: version, args_schema: schema } = hold
  const same = defined.get(name)?.filter((tool) => tool.version === version)
  // Nothing was noted where it could not be, and by former releases.
  if (schema === null) return same?.[0]
  const asked = argsHash(schema)
  return same?.find((tool) => argsHash(argsSchemaOf(tool)) === asked)
}
