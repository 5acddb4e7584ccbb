import { createInterface } from 'node:readline/promises'
import type { Approval, Decision } from './door.ts'
import { Problem } from './problem.ts'
import { addresses } from './show.ts'

export interface Ask {
  decide(approval: Approval): Promise<Decision>
  /** Whether another answer may come after one that the server refused. */
  canTryAgain: boolean
  close(): void
}

/** `--yes`. */
export function sayYes(): Ask {
  return { decide: () => Promise.resolve({ type: 'approve' }), canTryAgain: false, close() {} }
}

/** Asks on a terminal, or reads the answers that a script pipes in. */
export function askPerson(input: NodeJS.ReadableStream, output: NodeJS.WritableStream): Ask {
  const terminal = createInterface({ input, output })
  const lines = terminal[Symbol.asyncIterator]()

  async function line(question: string): Promise<string> {
    output.write(question)
    const { value, done } = await lines.next()
    if (done)
      throw new Problem('Nobody answered. The call still waits: decide it at /console, or run with --yes.')
    return String(value)
  }

  return {
    canTryAgain: true,
    async decide(approval) {
      for (;;) {
        const word = (await line('approve / edit / reject? ')).trim().toLowerCase()
        if (/^(a|approve|y|yes)$/.test(word)) return { type: 'approve' }
        if (/^(e|edit)$/.test(word)) return { type: 'edit', args: await edit(approval.args, line) }
        if (/^(r|reject|n|no)$/.test(word)) {
          const message = (await line('Why? (the agent is told; empty for no reason) ')).trim()
          return message === '' ? { type: 'reject' } : { type: 'reject', message }
        }
        output.write('Please answer approve, edit or reject.\n')
      }
    },
    close: () => terminal.close(),
  }
}

/** One prompt for each argument; an empty line keeps it. Texts of several lines end with a single dot. */
async function edit(
  args: Record<string, unknown>,
  line: (question: string) => Promise<string>,
): Promise<Record<string, unknown>> {
  const edited: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(args)) {
    if (typeof value === 'string' && value.includes('\n')) {
      edited[name] = await editText(name, value, line)
    } else {
      const shown =
        typeof value === 'string' || Array.isArray(value) ? addresses(value) : JSON.stringify(value)
      const answer = (await line(`${name} [${shown}]: `)).trim()
      edited[name] = answer === '' ? value : likeBefore(answer, value)
    }
  }
  return edited
}

async function editText(
  name: string,
  value: string,
  line: (question: string) => Promise<string>,
): Promise<string> {
  const first = await line(`${name}: empty keeps it, else the new text, ended by a line with a single dot\n`)
  if (first === '') return value
  const lines: string[] = []
  for (let next = first; next !== '.'; next = await line('')) lines.push(next)
  return `${lines.join('\n')}\n`
}

function likeBefore(answer: string, before: unknown): unknown {
  if (Array.isArray(before)) return answer.split(',').map((part) => part.trim())
  if (typeof before === 'string') return answer
  try {
    return JSON.parse(answer) as unknown
  } catch {
    return answer
  }
}
