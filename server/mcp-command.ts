import { parseArgs } from 'node:util'

export const MCP_USAGE = `holdpoint mcp check | approve [--file FILE]`

export interface McpCommand {
  /** What is offered now becomes what is approved. */
  approve: boolean
  file: string
}

/** One tool that the file names: as it was approved, and as its server offers it now. */
interface Report {
  tool: string
  /** As the model sees it. */
  name: string
  state: 'new' | 'changed' | 'same' | 'gone'
  before: Approved | undefined
  now: Approved | undefined
}

interface Approved {
  sha256: string
  definition: object
}

const USUAL = 'holdpoint.mcp.json'

/** `undefined`: help is asked for. Throws one line. */
export function readMcpCommand(argv: string[]): McpCommand | undefined {
  const { values, positionals } = parseArgs({
    args: argv,
    options: { file: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    allowPositionals: true,
  })
  if (values.help === true) return undefined
  const [, action, ...more] = positionals
  if ((action !== 'check' && action !== 'approve') || more.length > 0)
    throw new Error('What there is to do with MCP servers is mcp check, or mcp approve')
  return { approve: action === 'approve', file: values.file ?? USUAL }
}

/** Tells what servers offer beside what was approved. Returns the exit code: 1 where something is not approved. */
export async function reportMcp(
  { approve, file }: McpCommand,
  compare: (file: string, write: boolean) => Promise<Report[]>,
  say: (line: string) => void,
): Promise<number> {
  const reports = await compare(file, approve)
  for (const { tool, name, state, before, now } of reports) {
    say(`${state} ${tool} (${name})`)
    if (state === 'same') continue
    if (before !== undefined) say(`  was ${before.sha256.slice(0, 12)}: ${plainly(before.definition)}`)
    if (now !== undefined) say(`  is  ${now.sha256.slice(0, 12)}: ${plainly(now.definition)}`)
  }
  const other = reports.filter(({ state }) => state !== 'same').length
  const gone = reports.filter(({ state }) => state === 'gone').length
  if (approve) {
    say(`approved: ${reports.length - gone} tools. Restart the servers that have these agents.`)
    return gone > 0 ? 1 : 0
  }
  say(
    other === 0
      ? `ok: ${reports.length} tools are as they were approved`
      : `${other} tools are not approved as they are`,
  )
  return other === 0 ? 0 : 1
}

/** Whoever reads it decides by it: nothing in it moves the cursor, or is there unseen. */
function plainly(definition: object): string {
  return JSON.stringify(definition).replaceAll(
    /[\p{C}\p{Zl}\p{Zp}\p{DI}]/gu,
    (one) => `\\u{${one.codePointAt(0)?.toString(16)}}`,
  )
}
