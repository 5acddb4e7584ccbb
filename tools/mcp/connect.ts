import { Client, type JsonSchemaValidatorResult, type Tool as Offered } from '@modelcontextprotocol/client'
import type { Secrets } from '../secrets.ts'
import { httpTransport } from './http.ts'
import type { McpServer } from './settings.ts'
import { StdioTransport } from './stdio.ts'

export interface McpConnection {
  client: Client
  /** False once the server is gone. */
  alive: () => boolean
  close(): Promise<void>
}

const CONNECT_MS = 15_000
const LIST_MS = 15_000

/** What a server declares its answers to be is not compiled into code here. Callers look at them as they are. */
const ANYTHING = {
  getValidator:
    <T>() =>
    (input: unknown): JsonSchemaValidatorResult<T> => ({
      valid: true,
      data: input as T,
      errorMessage: undefined,
    }),
}

/** Starts or reaches the server. It is offered nothing of ours: no sampling, no elicitation, no roots. */
export async function connectTo(
  server: McpServer,
  secrets: Secrets,
  signal: AbortSignal,
): Promise<McpConnection> {
  const { transport, close } = transportTo(server, secrets)
  const client = new Client({ name: 'holdpoint', version: '1' }, { jsonSchemaValidator: ANYTHING })
  let alive = true
  client.onclose = () => {
    alive = false
  }
  try {
    await client.connect(transport, { signal, timeout: CONNECT_MS })
  } catch (error) {
    await client.close().catch(() => {})
    await close()
    throw error
  }
  return {
    client,
    alive: () => alive,
    async close() {
      await client.close().catch(() => {})
      await close()
    },
  }
}

/** What it offers now, whatever it has said before. */
export async function offeredBy({ client }: McpConnection, signal: AbortSignal): Promise<Offered[]> {
  const { tools } = await client.listTools(undefined, { signal, timeout: LIST_MS, cacheMode: 'bypass' })
  return tools
}

function transportTo({ name, folder, settings }: McpServer, secrets: Secrets) {
  const secret = (variable: string) => {
    const value = secrets.get(variable)
    if (value === undefined)
      throw new Error(
        `The MCP server "${name}" wants the secret ${variable}. Set it, and name it in HOLDPOINT_TOOL_SECRETS.`,
      )
    return value
  }
  const withSecrets = (plain: Record<string, string>, from: Record<string, string>) => ({
    ...plain,
    ...Object.fromEntries(Object.entries(from).map(([key, variable]) => [key, secret(variable)])),
  })
  if ('url' in settings)
    return httpTransport(settings.url, {
      headers: withSecrets(settings.headers, settings.headers_from),
      allowPrivate: settings.allow_private,
    })
  const { command, args, env, env_from } = settings
  const transport = new StdioTransport({ command, args, cwd: folder, env: withSecrets(env, env_from) })
  return { transport, close: () => Promise.resolve() }
}
