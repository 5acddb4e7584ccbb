import { z } from 'zod'
import { argsHash, hasCanonicalForm } from './call.ts'
import { RuntimeError } from './errors.ts'
import {
  type Decision,
  type EditedArgs,
  type Hold,
  type HoldRequest,
  holdsOf,
  type InterruptAnswer,
} from './hold.ts'
import type { Interop } from './interop.ts'
import type { Json } from './json.ts'
import type { Person } from './people.ts'
import type { Thread } from './thread.ts'

/** Arguments as the schema of the tool that was held reads them, or `invalid_decision`. */
export type CheckArgs = (
  hold: Pick<HoldRequest, 'tool' | 'tool_version' | 'args_schema'>,
  args: Json,
) => Pick<EditedArgs, 'args' | 'hash' | 'checkedBy'>

/**
 * As that, as the policy judges them, and as the tool shows the call: what is denied throws `invalid_decision`, and whoever
 * may not edit is refused.
 */
export type CheckEdit = (hold: Hold, args: Json, by: Person) => Promise<EditedArgs>

const ResumeDecision = z.object({
  approval_id: z.string().optional(),
  args_hash: z.string().optional(),
  type: z.enum(['approve', 'edit', 'reject', 'respond']),
  args: z.record(z.string(), z.json()).optional(),
  message: z.string().max(20_000).optional(),
  /** What the sender saw, where their client says so: an approval is of that and of nothing else. */
  shown: z.object({ name: z.string(), args: z.record(z.string(), z.json()) }).optional(),
})
type ResumeDecision = z.infer<typeof ResumeDecision>

const Decisions = z.object({ decisions: z.array(ResumeDecision).min(1) })

/**
 * Reads a client's `command.resume`: a map by interrupt id, or a bare value where one interrupt waits. LangGraph gives
 * a bare value to every interrupt that waits, so it never gets one. The answers to holds come back as decisions, which
 * take the same way as those made at `/approvals`; other interrupts' answers stay as they are.
 */
export async function readResume(
  thread: Thread,
  holds: Hold[],
  resume: Json,
  { by, checkEdit, interop }: { by: Person; checkEdit: CheckEdit; interop: Interop },
): Promise<{ resume: Record<string, Json>; answers: InterruptAnswer[] }> {
  const byInterrupt = Map.groupBy(inOrder(thread, holds), ({ interrupt_id }) => interrupt_id)
  const values = new Map(
    Object.values(thread.interrupts)
      .flat()
      .map(({ id, value }) => [id, value]),
  )
  const map = Object.fromEntries(
    Object.entries(mapOf(thread, resume)).map(([id, answer]) => [id, interop.read(values.get(id), answer)]),
  )
  const answers: InterruptAnswer[] = []
  for (const [interruptId, value] of Object.entries(map)) {
    const asked = byInterrupt.get(interruptId)
    if (asked === undefined) continue
    const checked = decisionsOf(asked, value).map(async ({ hold, decision }) => ({
      approvalId: hold.approval_id,
      ...(await checkDecision(hold, decision, { by, checkEdit })),
    }))
    answers.push({ interruptId, decisions: await Promise.all(checked) })
  }
  return { resume: map, answers }
}

export function waitingInterrupts(thread: Thread): string[] {
  return Object.values(thread.interrupts).flatMap((list) => list.map(({ id }) => id))
}

/** As the interrupts list them. A client that names no approval decides by place, and must not decide another call. */
function inOrder(thread: Thread, holds: Hold[]): Hold[] {
  const listed = Object.values(thread.interrupts)
    .flat()
    .flatMap(({ value }) => holdsOf(thread.thread_id, value).map(({ approval_id }) => approval_id))
  return holds.toSorted((a, b) => listed.indexOf(a.approval_id) - listed.indexOf(b.approval_id))
}

function mapOf(thread: Thread, resume: Json): Record<string, Json> {
  const waiting = waitingInterrupts(thread)
  if (typeof resume === 'object' && resume !== null && !Array.isArray(resume)) {
    const keys = Object.keys(resume)
    if (keys.length > 0 && keys.every((key) => waiting.includes(key))) return resume
    const foreign = keys.filter((key) => /^[0-9a-f]{32}$/.test(key) && !waiting.includes(key))
    if (foreign.length > 0) {
      throw new RuntimeError(
        'invalid_resume',
        `Interrupt ${foreign.join(', ')} does not wait in this thread.`,
      )
    }
  }
  const [only, ...others] = waiting
  if (only === undefined)
    throw new RuntimeError('invalid_resume', 'Nothing waits for an answer in this thread.')
  if (others.length > 0) {
    throw new RuntimeError(
      'invalid_resume',
      `${waiting.length} interrupts wait in this thread. Send a map by interrupt id: ${waiting.join(', ')}.`,
    )
  }
  return { [only]: resume }
}

function decisionsOf(asked: Hold[], value: Json): { hold: Hold; decision: Decision }[] {
  const given = parse(value)
  const matched = given.map((decision, index) => {
    const hold =
      decision.approval_id === undefined
        ? asked[index]
        : asked.find((one) => one.approval_id === decision.approval_id)
    const hashes = [hold?.args_hash, hold?.proposal?.args_hash]
    if (hold === undefined || (decision.args_hash !== undefined && !hashes.includes(decision.args_hash))) {
      throw new RuntimeError('invalid_resume', `Decision ${index + 1} is for no call that waits here.`)
    }
    const { shown } = decision
    const waits = hold.proposal?.args_hash ?? hold.args_hash
    if (shown !== undefined && (shown.name !== hold.tool || hashOf(shown.args) !== waits)) {
      throw new RuntimeError(
        'invalid_resume',
        `Decision ${index + 1} approves another call than approval ${hold.approval_id}. Show it anew.`,
      )
    }
    // By place it means the call that its sender sees there, whatever became of that since.
    if (hold.status !== 'pending') {
      throw new RuntimeError(
        'hold_decided',
        `Decision ${index + 1} is for approval ${hold.approval_id}, which is already ${hold.status}. Decide the others by their approval_id.`,
      )
    }
    const seen = shown === undefined ? decision.args_hash : waits
    const { args_hash: _, ...said } = decision
    return { hold, decision: seen === undefined ? said : { ...said, args_hash: seen } }
  })
  if (new Set(matched.map(({ hold }) => hold)).size !== matched.length) {
    throw new RuntimeError('invalid_resume', 'Two decisions are for the same call.')
  }
  return matched
}

function hashOf(args: Record<string, Json>): string | undefined {
  return hasCanonicalForm(args) ? argsHash(args) : undefined
}

function parse(value: Json): ResumeDecision[] {
  const many = Decisions.safeParse(value)
  if (many.success) return many.data.decisions
  const one = ResumeDecision.safeParse(value)
  if (one.success) return [one.data]
  throw new RuntimeError(
    'invalid_resume',
    'Calls wait for an approval here. Answer with {"decisions": [{"type": "approve" | "edit" | "reject" | "respond", "args"?, "message"?}]}, one for each call in order, or decide them at /approvals.',
  )
}

/** Refuses a decision that could not be carried out, before anything is written. */
export async function checkDecision(
  hold: Hold,
  decision: Decision,
  { by, checkEdit }: { by: Person; checkEdit: CheckEdit },
): Promise<{ decision: Decision; edited?: EditedArgs }> {
  if (decision.type === 'edit') {
    if (hold.kind === 'in_doubt') {
      throw new RuntimeError(
        'invalid_decision',
        'What may have happened cannot be edited. Approve to run it, respond with its result, or reject to skip it.',
      )
    }
    if (hold.replaces !== null) {
      throw new RuntimeError(
        'invalid_decision',
        'A call that is asked for again cannot be edited. Approve or reject it, or respond in its place.',
      )
    }
    if (decision.args === undefined)
      throw new RuntimeError('invalid_decision', 'An edit needs "args", all of them.')
    return { decision, edited: await checkEdit(hold, decision.args, by) }
  }
  if (decision.args !== undefined) {
    throw new RuntimeError('invalid_decision', `"args" go with an edit only; this is "${decision.type}".`)
  }
  if (decision.type === 'respond' && decision.message === undefined) {
    throw new RuntimeError(
      'invalid_decision',
      'A response needs a "message": what the model gets as the tool\'s result.',
    )
  }
  return { decision }
}
