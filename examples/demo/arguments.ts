import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Problem } from './problem.ts'

export interface Arguments {
  file: string
  task: string
  /** Approve whatever waits, without asking. */
  yes: boolean
}

export const HELP = `npm run demo -- [--yes] [FILE "task"]

Gives an agent a file and a task, prints each step, and asks before anything leaves the machine.

  FILE      a CSV or other text file; without one, examples/orders.csv
  "task"    what to do with it, in your words; without one, total by customer and mail to ops@example.com
  --yes     approve everything that waits, for scripts
  --help    this text

HOLDPOINT_URL names the server. Without it: http://127.0.0.1:2024 (or PORT), and if none runs there, one is started
for the demo and stopped at its end.`

export function readArguments(words: string[]): Arguments | 'help' {
  const { values, positionals } = parse(words)
  if (values.help) return 'help'
  if (positionals.length > 2) {
    throw new Problem(`One file and one task, please; put the task in quotes. Try: npm run demo -- --help`, {
      exitCode: 2,
    })
  }
  const [file, task] = positionals
  return {
    file: file ?? fileURLToPath(new URL('../orders.csv', import.meta.url)),
    task: task ?? taskFor(file),
    yes: values.yes ?? false,
  }
}

function taskFor(file: string | undefined): string {
  const name = file?.replace(/^.*[\\/]/, '') ?? 'orders.csv'
  const quoted = /\s/.test(name) ? `"${name}"` : name
  return `Total the orders in ${quoted} by customer and mail the result to ops@example.com.`
}

function parse(args: string[]) {
  const options = { yes: { type: 'boolean', short: 'y' }, help: { type: 'boolean', short: 'h' } } as const
  try {
    return parseArgs({ args, options, allowPositionals: true })
  } catch (cause) {
    const message = cause instanceof Error ? cause.message.split('. ')[0] : String(cause)
    throw new Problem(`${message}. Try: npm run demo -- --help`, { cause, exitCode: 2 })
  }
}
