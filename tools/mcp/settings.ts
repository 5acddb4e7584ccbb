import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

const Name = z.string().regex(/^[\w-]{1,40}$/, 'must be letters, digits, - and _')
const SecretName = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]*$/, 'must be the name of a variable such as GITHUB_TOKEN')
const texts = z.record(z.string().min(1), z.string())

const ToolSettings = z.strictObject({
  risk: z.enum(['low', 'medium', 'high', 'critical']).default('high'),
  effect: z.enum(['none', 'idempotent', 'once']).default('once'),
  timeout_ms: z.int().min(100).max(600_000).default(30_000),
  /** Characters. */
  output_limit: z.int().min(100).max(1_000_000).default(32_000),
})

const tools = z.record(z.string().min(1).max(200), ToolSettings)

const Stdio = z.strictObject({
  /** `node` is the Node that runs Holdpoint. */
  command: z.string().min(1),
  args: z.array(z.string()).default([]),
  /** All that the server's environment has. */
  env: texts.default({}),
  /** The same from secrets: the variable's name in the server, and ours. */
  env_from: z.record(z.string().min(1), SecretName).default({}),
  tools,
})

const Http = z.strictObject({
  url: z.url({ protocol: /^https?$/ }),
  headers: texts.default({}),
  headers_from: z.record(z.string().min(1), SecretName).default({}),
  /** The server may have an address that is not public. */
  allow_private: z.boolean().default(false),
  tools,
})

const File = z.strictObject({ servers: z.record(Name, z.union([Stdio, Http])) })

export type McpToolSettings = z.output<typeof ToolSettings>
export type StdioServer = z.output<typeof Stdio>
export type HttpServer = z.output<typeof Http>

/** One server that a file names. */
export interface McpServer {
  name: string
  /** The folder of the file: a server of `command` runs there. */
  folder: string
  settings: StdioServer | HttpServer
}

/** Where the settings are as an absolute path. */
export function pathOf(file: string | URL): string {
  return file instanceof URL ? fileURLToPath(file) : resolve(file)
}

/** Throws one line that names the place that is wrong. */
export function readServers(file: string): McpServer[] {
  const parsed = File.safeParse(readJson(file))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new Error(`${file} cannot be used. ${issue?.path.join('.') || 'The file'}: ${issue?.message}.`)
  }
  const folder = dirname(file)
  return Object.entries(parsed.data.servers).map(([name, settings]) => ({ name, folder, settings }))
}

export function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new Error(`${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}.`, {
      cause,
    })
  }
}
