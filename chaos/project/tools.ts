import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { defineTool, type Tool, type ToolCallContext } from '../../tools/define.ts'
import { outboxClaims } from '../../tools/outbox-claims.ts'
import type { JournalTool } from '../script.ts'
import { appendEntry, claimsIn, entryOf } from './journal.ts'

const schema = z.object({
  note: z.string().max(200),
  before: z.number().int().min(0).max(10_000),
  after: z.number().int().min(0).max(10_000),
})
type Args = z.output<typeof schema>

/** Where the outside world of these tools is. Read when a tool runs: importing a file does nothing. */
function directory(): string {
  const path = process.env['HOLDPOINT_CHAOS_DIR']
  if (path === undefined) throw new Error('HOLDPOINT_CHAOS_DIR is not set.')
  return path
}

/** Rude on purpose: it listens to no signal, so that an execution that lost its lease still tries. */
async function paced({ before, after }: Args, effect: () => Promise<void> | void): Promise<void> {
  await sleep(before)
  await effect()
  await sleep(after)
}

function appended(name: JournalTool) {
  return async (args: Args, call: ToolCallContext) => {
    await paced(args, () => appendEntry(directory(), entryOf(name, args.note, call)))
    return { note: args.note }
  }
}

/** The effect is an entry in the key's list of claims, so it can be asked for, and kept from happening. */
function claimed(name: JournalTool) {
  const claims = () => outboxClaims(claimsIn(directory()))
  return {
    async run(args: Args, call: ToolCallContext) {
      const entry = Buffer.from(JSON.stringify(entryOf(name, args.note, call)))
      await paced(args, async () => void (await claims().write(call.idempotencyKey, call.attempt, entry)))
      return { note: args.note }
    },
    async probe({ note }: Args, call: ToolCallContext) {
      const path = await claims().claim(call.idempotencyKey, call.attempt)
      if (path === undefined) return { state: 'can_no_longer_happen' as const }
      return { state: 'happened' as const, result: { note } }
    },
  }
}

const common = { schema, risk: 'low' as const, timeoutMs: 30_000 }

export const journalTools = [
  defineTool({
    ...common,
    ...claimed('journal_once'),
    name: 'journal_once',
    description: 'Writes a note that must be written once, and can say whether it was.',
    effect: 'once',
  }),
  defineTool({
    ...common,
    name: 'journal_once_blind',
    description: 'Writes a note that must be written once, and cannot say whether it was.',
    effect: 'once',
    run: appended('journal_once_blind'),
  }),
  defineTool({
    ...common,
    name: 'journal_idempotent',
    description: 'Writes a note whose reader knows its key again.',
    effect: 'idempotent',
    run: appended('journal_idempotent'),
  }),
  defineTool({
    ...common,
    name: 'journal_none',
    description: 'Writes a note that may be written any number of times.',
    effect: 'none',
    run: appended('journal_none'),
  }),
  defineTool({
    ...common,
    ...claimed('journal_held'),
    name: 'journal_held',
    description: 'Writes a note that must be written once, after a person has approved it.',
    risk: 'medium',
    effect: 'once',
  }),
] as unknown as Tool[]
