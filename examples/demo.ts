import { readFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { Client } from '@langchain/langgraph-sdk'
import { askPerson, sayYes, type Ask } from './demo/ask.ts'
import { HELP, readArguments, type Arguments } from './demo/arguments.ts'
import { createDoor, type Door } from './demo/door.ts'
import { Problem } from './demo/problem.ts'
import { ensureServer } from './demo/server.ts'
import { answerOf, describeApproval, describeStep, mailPath } from './demo/show.ts'

/** `npm run demo`: gives an agent a file and a task, shows each step, and stops where a person has to decide. */
async function demo(args: Arguments): Promise<void> {
  // npm runs scripts in the project's directory and keeps the caller's in INIT_CWD.
  const file = await readFile(resolve(process.env['INIT_CWD'] ?? '.', args.file)).catch((cause: unknown) => {
    throw new Problem(`Cannot read ${args.file}. Give the path of a file: npm run demo -- FILE "task"`, {
      cause,
    })
  })
  const server = await ensureServer(process.env['HOLDPOINT_URL'])
  try {
    await work(server.url, basename(args.file), file, args)
  } finally {
    await server.close()
  }
}

async function work(url: string, name: string, file: Uint8Array, { task, yes }: Arguments): Promise<void> {
  const client = new Client({ apiUrl: url, apiKey: null })
  const door = createDoor(url)
  const ask = yes ? sayYes() : askPerson(process.stdin, process.stdout)
  const { thread_id } = await client.threads.create()
  await door.putFile(thread_id, name, file)
  say(`\nThread ${thread_id} has ${name} (${file.byteLength} bytes).\nTask: ${task}\n`)
  try {
    const input = { messages: [{ role: 'user', content: task }] }
    const first = client.runs.stream(thread_id, 'react', { input, streamMode: STREAM_MODE })
    let seen = await follow(first)
    for (;;) {
      const run = await decide(door, thread_id, ask)
      if (run === null) break
      const next = await follow(client.runs.joinStream(thread_id, run, { streamMode: STREAM_MODE }))
      seen = { answer: next.answer ?? seen.answer, mail: next.mail ?? seen.mail }
    }
    say(`\n${seen.answer ?? 'The agent ended without an answer.'}`)
    say(seen.mail ? `\nMail: ${seen.mail}` : '\nNo mail was sent.')
  } finally {
    ask.close()
  }
}

const STREAM_MODE: ('custom' | 'values')[] = ['custom', 'values']

interface Seen {
  answer?: string
  mail?: string
}

/** Prints the steps of one run as they come. */
async function follow(events: AsyncIterable<{ event: string; data: unknown }>): Promise<Seen> {
  const seen: Seen = {}
  for await (const { event, data } of events) {
    if (event === 'error') throw new Problem(`The run failed: ${JSON.stringify(data)}`)
    if (event.startsWith('custom')) {
      const line = describeStep(data)
      if (line !== null) say(line)
      seen.mail = mailPath(data) ?? seen.mail
    } else if (event === 'values') {
      seen.answer = answerOf(data) ?? seen.answer
    }
  }
  return seen
}

/** Asks for each waiting approval of the thread. The run that goes on then; null when nothing waits. */
async function decide(door: Door, threadId: string, ask: Ask): Promise<string | null> {
  for (;;) {
    const [approval] = await door.pendingApprovals(threadId)
    if (!approval) return null
    say(`\n${describeApproval(approval)}\n`)
    const decision = await ask.decide(approval)
    const decided = await door.decide(approval.approval_id, decision)
    if ('refused' in decided) {
      say(`Not accepted: ${decided.refused}`)
      if (!ask.canTryAgain) throw new Problem(`The decision was not accepted: ${decided.refused}`)
      continue
    }
    say(
      `${decision.type === 'reject' ? 'Rejected' : decision.type === 'edit' ? 'Approved as edited' : 'Approved'}.\n`,
    )
    if (decided.resumedRunId !== null) return decided.resumedRunId
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function main(words: string[]): Promise<number> {
  try {
    const args = readArguments(words)
    if (args === 'help') say(HELP)
    else await demo(args)
    return 0
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    process.stderr.write(`${message}\n`)
    return error instanceof Problem ? error.exitCode : 1
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
