import type { CallToolResult } from '@modelcontextprotocol/client'
import { serviceKey } from '../../runtime/services.ts'
import { type ToolCallContext, ToolError } from '../define.ts'
import type { Secrets } from '../secrets.ts'
import { connectTo, type McpConnection, offeredBy } from './connect.ts'
import { type Pin, pinOf } from './pins.ts'
import type { McpServer } from './settings.ts'

/** The servers that threads talk to: each thread has its own, so that nothing of one is in another's session. */
export interface McpConnections {
  /** Throws `ToolError` with `DENIED` where nothing was called. */
  call(
    server: McpServer,
    pin: Pin,
    args: Record<string, unknown>,
    call: ToolCallContext & { timeoutMs: number },
  ): Promise<CallToolResult>
  close(): Promise<void>
}

export const MCP = serviceKey<McpConnections>('mcp')

const IDLE_MS = 60_000
const MAX_OPEN = 32

interface Open {
  connection: Promise<McpConnection>
  calls: number
  usedAt: number
}

export function createMcpConnections(secrets: Secrets): McpConnections {
  const open = new Map<string, Open>()
  const drop = async (key: string) => {
    const found = open.get(key)
    open.delete(key)
    await found?.connection.then(
      (connection) => connection.close(),
      () => {},
    )
  }
  const sweep = setInterval(() => {
    const old = Date.now() - IDLE_MS
    for (const [key, { calls, usedAt }] of open) if (calls === 0 && usedAt < old) void drop(key)
  }, IDLE_MS / 4)
  sweep.unref()

  async function take(key: string, server: McpServer, signal: AbortSignal): Promise<Open> {
    // Another call of the thread may do the same while this one waits: it looks again, and what it makes stands there at once.
    for (let found = open.get(key); found !== undefined; found = open.get(key)) {
      if ((await found.connection).alive()) return found
      if (open.get(key) === found) await drop(key)
    }
    if (open.size >= MAX_OPEN) {
      const idle = [...open]
        .filter(([, { calls }]) => calls === 0)
        .sort(([, a], [, b]) => a.usedAt - b.usedAt)
      const [oldest] = idle
      if (oldest === undefined)
        throw new ToolError('DENIED', 'Too many MCP servers are busy. Nothing was called; try again later.')
      await drop(oldest[0])
      return await take(key, server, signal)
    }
    const made: Open = { connection: connectTo(server, secrets, signal), calls: 0, usedAt: Date.now() }
    open.set(key, made)
    made.connection.catch(() => open.get(key) === made && open.delete(key))
    return made
  }

  return {
    async call(server, pin, args, { threadId, signal, timeoutMs }) {
      const name = `${server.name}/${pin.definition.name}`
      const key = JSON.stringify([server.folder, server.name, threadId])
      const reached = await unlessGone(server.name, signal, () => take(key, server, signal))
      reached.calls += 1
      try {
        const connection = await unlessGone(server.name, signal, () => reached.connection)
        const offered = await unlessGone(server.name, signal, () => offeredBy(connection, signal))
        const now = offered.find((one) => one.name === pin.definition.name)
        if (now === undefined)
          throw new ToolError('DENIED', `The MCP server does not offer ${name} any more.`)
        // A server may say another thing each time that it is asked, and so steer whoever reads it.
        if (pinOf(now).sha256 !== pin.sha256)
          throw new ToolError(
            'DENIED',
            `The description or the arguments of ${name} are not those that a person approved. Nothing was called. The operator has to run: holdpoint mcp approve`,
          )
        return await connection.client.callTool(
          { name: pin.definition.name, arguments: args },
          { signal, timeout: timeoutMs },
        )
      } finally {
        reached.calls -= 1
        reached.usedAt = Date.now()
      }
    },
    async close() {
      clearInterval(sweep)
      await Promise.all([...open.keys()].map(drop))
    },
  }
}

/** What fails before the tool is called has had no effect, and the model may be told so. */
async function unlessGone<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (signal.aborted || cause instanceof ToolError) throw cause
    throw new ToolError('DENIED', `The MCP server "${name}" cannot be reached. Nothing was called.`, {
      cause,
    })
  }
}
