import { writeFile } from 'node:fs/promises'
import { chaos } from './chaos.ts'
import { readOptions, USAGE } from './options.ts'
import { table } from './table.ts'

async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    process.stdout.write(`${USAGE}\n`)
    return 0
  }
  const options = readOptions(process.argv.slice(2), process.env)
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => stop.abort(new Error(`Stopped by ${name}.`)))
  }
  const say = (line: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`)
  const report = await chaos(options, { say, signal: stop.signal })
  process.stdout.write(`\n${table(report.lines)}\n\n`)
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`)
  const { ok, seed, seconds, kept } = report
  process.stdout.write(`${ok ? 'Nothing was lost' : 'Violated'}: seed ${seed}, ${seconds} s.\n`)
  if (kept.length > 0)
    process.stdout.write(`Kept for you to look at:\n${kept.map((one) => `  ${one}\n`).join('')}`)
  return ok ? 0 : 1
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    process.exit(1)
  },
)
