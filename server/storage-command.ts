import { parseArgs } from 'node:util'

export const STORAGE_USAGE = `holdpoint storage verify
holdpoint storage report [--top N] [--json]
holdpoint storage adopt --graph NAME [--tenant NAME]`

export type StorageCommand =
  | { name: 'verify' }
  | { name: 'report'; top: number; json: boolean }
  | { name: 'adopt'; graphId: string; tenant: string }

/** Throws with what is wrong; undefined where help is asked for. */
export function readStorageCommand(argv: string[]): StorageCommand | undefined {
  const { values, positionals } = parseArgs({
    args: argv,
    options: {
      top: { type: 'string' },
      json: { type: 'boolean' },
      graph: { type: 'string' },
      tenant: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
    allowPositionals: true,
  })
  if (values.help === true) return undefined
  const [, name, ...more] = positionals
  if (more.length > 0) throw new Error(`${more[0]} is too much.`)
  if (name === 'verify') {
    if (Object.keys(values).length > 0) throw new Error('storage verify takes no options.')
    return { name }
  }
  if (name === 'adopt') {
    const { graph: graphId = '', tenant = 'default', ...others } = values
    if (graphId === '') throw new Error('--graph is the graph whose states they are, as in langgraph.json.')
    if (Object.keys(others).length > 0) throw new Error('storage adopt takes --graph and --tenant.')
    return { name, graphId, tenant }
  }
  if (values.graph !== undefined || values.tenant !== undefined)
    throw new Error('--graph and --tenant are for storage adopt.')
  if (name !== 'report') throw new Error(`There is no storage ${name ?? ''}.`)
  const top = Number(values.top ?? 10)
  if (!Number.isInteger(top) || top < 0 || top > 10_000) throw new Error('--top is a number up to 10000.')
  return { name, top, json: values.json === true }
}

interface Report {
  tables: { name: string; rows: number | null; bytes: number }[]
  threads: { id: string; bytes: number; checkpoints: number }[]
  waiting: number
}

interface Verified {
  chunks: number
  faults: string[]
}

/** Carries it out and tells it. Returns the exit code: 1 where `verify` finds a fault. */
export async function tellStorage(
  command: StorageCommand,
  {
    verify,
    report,
    adopt,
  }: {
    verify(): Promise<Verified>
    report(top: number): Promise<Report>
    adopt(of: { graphId: string; tenant: string }): Promise<{ adopted: number; left: string[] }>
  },
  say: (line: string) => void,
): Promise<number> {
  if (command.name === 'verify') {
    const { chunks, faults } = await verify()
    for (const fault of faults) say(fault)
    say(faults.length === 0 ? `ok: ${chunks} chunks` : `${faults.length} faults: ${chunks} chunks`)
    return faults.length === 0 ? 0 : 1
  }
  if (command.name === 'adopt') {
    const { adopted, left } = await adopt(command)
    for (const id of left) say(`left: ${id} is no UUID, and a thread's id is one`)
    say(`${adopted} threads adopted`)
    return 0
  }
  const found = await report(command.top)
  if (command.json) say(JSON.stringify(found))
  else for (const line of linesOf(found)) say(line)
  return 0
}

function linesOf({ tables, threads, waiting }: Report): string[] {
  return [
    ...tables.map(
      ({ name, rows, bytes }) =>
        `${name.padEnd(20)}${kb(bytes)}${rows === null ? '' : `  about ${rows} rows`}`,
    ),
    ...(threads.length === 0 ? [] : ['', 'largest threads']),
    ...threads.map(({ id, bytes, checkpoints }) => `${id}${kb(bytes)}  ${checkpoints} checkpoints`),
    '',
    `${waiting} threads wait for what nothing needs any more to be collected`,
  ]
}

function kb(bytes: number): string {
  return `${Math.ceil(bytes / 1_000).toLocaleString('en')} kB`.padStart(16)
}
