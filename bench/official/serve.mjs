import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startServer, StartServerSchema } from '@langchain/langgraph-api/server'

// The official development server on the graphs of the benchmarks, in memory but for its files, which go to a directory of ours.
const cwd = await mkdtemp(join(tmpdir(), 'bench-official-'))
process.chdir(cwd)
const port = Number(process.argv[2])
const file = fileURLToPath(new URL('graphs.mjs', import.meta.url))
const options = StartServerSchema.parse({
  port,
  host: '127.0.0.1',
  nWorkers: 10,
  cwd,
  graphs: Object.fromEntries(
    ['two_nodes', 'tool_loop', 'long_thread', 'asks'].map((name) => [name, `${file}:${name}`]),
  ),
})
const { host } = await startServer(options)
process.stdout.write(`listens on http://${host.replace(/^https?:\/\//, '')}\n`)
process.on('SIGTERM', () => {
  rm(cwd, { recursive: true, force: true }).finally(() => process.exit(0))
})
