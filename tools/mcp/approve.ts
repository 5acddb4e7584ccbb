import type { Secrets } from '../secrets.ts'
import { connectTo, offeredBy } from './connect.ts'
import { type Pin, pinOf, type Pins, readPins, writePins } from './pins.ts'
import { type McpServer, readServers } from './settings.ts'
import { nameOf, schemaOf } from './tools.ts'

export interface PinReport {
  /** `server/tool`. */
  tool: string
  /** `gone`: it is named, and not offered. */
  state: 'new' | 'changed' | 'same' | 'gone'
  /** As the agent's model sees it. */
  name: string
  before: Pin | undefined
  now: Pin | undefined
}

/** Asks every server of the file for the tools that it names. With `write` what is offered now is what is approved. */
export async function comparePins(
  file: string,
  secrets: Secrets,
  { write, signal }: { write: boolean; signal: AbortSignal },
): Promise<PinReport[]> {
  const pins = write ? readPinsOrNone(file) : readPins(file)
  const reports: PinReport[] = []
  const next: Pins = {}
  for (const server of readServers(file)) {
    const found = await pinsOf(server, secrets, signal)
    for (const tool of Object.keys(server.settings.tools)) {
      const [before, now] = [pins[server.name]?.[tool], found.get(tool)]
      if (now !== undefined) {
        schemaOf(server.name, now)
        next[server.name] = { ...next[server.name], [tool]: now }
      }
      reports.push({
        tool: `${server.name}/${tool}`,
        name: nameOf(server.name, tool),
        state: stateOf(before, now),
        before,
        now,
      })
    }
  }
  const names = reports.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new Error(`Two tools would both be called ${twice}. Rename a server.`)
  if (write) writePins(file, next)
  return reports
}

/** Whoever approves anew need not read what was written over. */
function readPinsOrNone(file: string): Pins {
  try {
    return readPins(file)
  } catch {
    return {}
  }
}

async function pinsOf(server: McpServer, secrets: Secrets, signal: AbortSignal): Promise<Map<string, Pin>> {
  const connection = await connectTo(server, secrets, signal).catch((cause: unknown) => {
    throw new Error(
      `The MCP server "${server.name}" cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
  })
  try {
    const offered = await offeredBy(connection, signal)
    return new Map(offered.map((tool) => [tool.name, pinOf(tool)]))
  } finally {
    await connection.close()
  }
}

function stateOf(before: Pin | undefined, now: Pin | undefined): PinReport['state'] {
  if (now === undefined) return 'gone'
  if (before === undefined) return 'new'
  return before.sha256 === now.sha256 ? 'same' : 'changed'
}
