import { type CallToolResult, ProtocolError } from '@modelcontextprotocol/client'
import { z } from 'zod'
import { defineTool, type Tool, ToolError } from '../define.ts'
import { MCP } from './connections.ts'
import { type Pin, pinsFileOf, readPins } from './pins.ts'
import { type McpServer, type McpToolSettings, pathOf, readServers } from './settings.ts'

const MAX_NAME = 64

/**
 * The tools of a `holdpoint.mcp.json`, all of them or those of these names: `server` or `server/tool`. They are as they
 * were approved; no server is asked before a call. Throws where one was not.
 *
 * @example
 * reactGraph({ tools: mcpTools(new URL('./holdpoint.mcp.json', import.meta.url), 'github/search_issues') })
 */
export function mcpTools(file: string | URL, ...names: string[]): Tool[] {
  const path = pathOf(file)
  const pins = readPins(path)
  const all = readServers(path).flatMap((server) =>
    Object.entries(server.settings.tools).map(([tool, settings]) => ({ server, tool, settings })),
  )
  const unknown = names.find(
    (name) => !all.some(({ server, tool }) => name === server.name || name === `${server.name}/${tool}`),
  )
  if (unknown !== undefined) throw new Error(`${path} names no "${unknown}".`)
  const wanted = all.filter(
    ({ server, tool }) =>
      names.length === 0 || names.some((name) => [server.name, `${server.name}/${tool}`].includes(name)),
  )
  const twice = wanted.flatMap(({ server, tool }, index) => {
    const name = nameOf(server.name, tool)
    const before = wanted.slice(0, index).find((one) => nameOf(one.server.name, one.tool) === name)
    return before === undefined
      ? []
      : [`${before.server.name}/${before.tool} and ${server.name}/${tool} are both called ${name}`]
  })
  if (twice.length > 0) throw new Error(`${path}: ${twice.join('; ')}. Leave one of them out.`)
  return wanted.map(({ server, tool, settings }) => {
    const pin = pins[server.name]?.[tool]
    if (pin === undefined)
      throw new Error(
        `${server.name}/${tool} has not been approved: ${pinsFileOf(path)} does not have it. Run: holdpoint mcp approve --file ${path}`,
      )
    return mcpTool(server, pin, settings)
  })
}

function mcpTool(server: McpServer, pin: Pin, settings: McpToolSettings): Tool {
  const { timeout_ms: timeoutMs, output_limit: outputLimit, risk, effect } = settings
  const tool: unknown = defineTool({
    name: nameOf(server.name, pin.definition.name),
    // What was approved for one description is not for another.
    version: pin.sha256.slice(0, 12),
    description: pin.definition.description,
    schema: schemaOf(server.name, pin),
    risk,
    effect,
    // What the server was given it may say again.
    secrets: secretsOf(server.settings),
    timeoutMs,
    outputLimit,
    async run(args, call) {
      try {
        return resultOf(await call.service(MCP).call(server, pin, args, { ...call, timeoutMs }))
      } catch (error) {
        if (error instanceof ProtocolError)
          throw new ToolError('INVALID_ARGS', `The MCP server refused the call: ${error.message}`, {
            cause: error,
          })
        throw error
      }
    },
  })
  return tool as Tool
}

function secretsOf(settings: McpServer['settings']): string[] {
  return Object.values('url' in settings ? settings.headers_from : settings.env_from)
}

/** Providers take letters, digits, - and _, 64 at most. */
export function nameOf(server: string, tool: string): string {
  return `${server}__${tool}`.replaceAll(/[^\w-]/g, '_').slice(0, MAX_NAME)
}

export function schemaOf(server: string, { definition }: Pin): z.ZodObject {
  const schema = z.fromJSONSchema(definition.inputSchema)
  if (schema instanceof z.ZodObject) return schema
  throw new Error(`The arguments of ${server}/${definition.name} are no object.`)
}

/** Texts and structured data as they are; of other content, what it is. */
function resultOf({ content, structuredContent, isError }: CallToolResult) {
  const parts = content.map((part) => {
    if (part.type === 'text') return { type: 'text', text: part.text }
    if (part.type === 'resource' && 'text' in part.resource)
      return { type: 'resource', uri: part.resource.uri, text: part.resource.text }
    if (part.type === 'resource_link') return { type: 'resource_link', uri: part.uri, name: part.name }
    return { type: part.type, left_out: 'Only text is passed on.' }
  })
  if (isError === true) {
    const words = parts.flatMap((part) => ('text' in part ? [part.text] : [])).join('\n')
    throw new ToolError('INVALID_ARGS', words === '' ? 'The MCP tool failed without a word.' : words)
  }
  return structuredContent === undefined
    ? { content: parts }
    : { content: parts, structured: structuredContent }
}
