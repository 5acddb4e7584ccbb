import { execFile } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll } from 'vitest'
import { temporaryDirectory } from '../server.ts'

const ROOT = new URL('../../../', import.meta.url).pathname

export interface CommandResult {
  code: number
  output: string
}

/** A project of a user's with MCP servers, in a folder of its own: approved, and an agent `helper` that has all their tools. */
export function useMcpProject(servers: () => Record<string, object>, env: Record<string, string> = {}) {
  let folder = ''
  const settings = { ...env }
  const file = () => join(folder, 'holdpoint.mcp.json')
  const command = async (action: string): Promise<CommandResult> => {
    const options = { env: { PATH: process.env['PATH'], ...env } }
    const args = [join(ROOT, 'server/bin.ts'), 'mcp', action, '--file', file()]
    return await promisify(execFile)(process.execPath, args, options).then(
      ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
      (error: { code: number; stdout: string; stderr: string }) => ({
        code: error.code,
        output: error.stdout + error.stderr,
      }),
    )
  }
  beforeAll(async () => {
    folder = await temporaryDirectory()
    settings['HOLDPOINT_CONFIG'] = join(folder, 'langgraph.json')
    await writeFile(file(), JSON.stringify({ servers: servers() }))
    await writeFile(join(folder, 'langgraph.json'), '{ "graphs": { "helper": "./graph.mts:helper" } }')
    await writeFile(
      join(folder, 'graph.mts'),
      `import { reactGraph } from '${ROOT}graphs/react.ts'
       import { mcpTools } from '${ROOT}tools/mcp/tools.ts'
       export const helper = reactGraph({ tools: mcpTools(new URL('./holdpoint.mcp.json', import.meta.url)) }).compile()`,
    )
    const { code, output } = await command('approve')
    if (code !== 0) throw new Error(output)
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
  return {
    /** Of the server, complete from `beforeAll` on. */
    env: settings,
    command,
    get file() {
      return file()
    },
  }
}
