import { appendFileSync, readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ToolCallContext } from '../../tools/define.ts'

/** One effect in the outside world. */
export interface Entry {
  key: string
  note: string
  tool: string
  thread: string
  call: string
  attempt: string
  pid: number
}

export function entryOf(tool: string, note: string, call: ToolCallContext): Entry {
  const { idempotencyKey: key, threadId: thread, callId, attempt } = call
  return { key, note, tool, thread, call: callId, attempt, pid: process.pid }
}

export function claimsIn(directory: string): string {
  return join(directory, 'claims')
}

/** One write to a file that is opened for appending: whole or not at all, whoever else writes. */
export function appendEntry(directory: string, entry: Entry): void {
  appendFileSync(join(directory, 'journal.ndjson'), `${JSON.stringify(entry)}\n`)
}

/** What was appended so far. */
export function readAppended(directory: string): Entry[] {
  let text = ''
  try {
    text = readFileSync(join(directory, 'journal.ndjson'), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Entry)
}

/** What was written where it could be claimed. Claims themselves are no effects. */
export async function readClaimed(directory: string): Promise<Entry[]> {
  const files = await contents(claimsIn(directory), (name) => !name.startsWith('.'))
  return files.filter((text) => text.startsWith('{')).map((text) => JSON.parse(text) as Entry)
}

/** The subjects of the mails that went out. */
export async function readMails(dataDir: string): Promise<string[]> {
  const mails = await contents(join(dataDir, 'outbox'), (name) => name.endsWith('.eml'))
  return mails.map((mail) => /^Subject: (.*?)\r?$/m.exec(mail)?.[1] ?? '')
}

async function contents(directory: string, wanted: (name: string) => boolean): Promise<string[]> {
  const names = await readdir(directory).catch((): string[] => [])
  return await Promise.all(names.filter(wanted).map((name) => readFile(join(directory, name), 'utf8')))
}
