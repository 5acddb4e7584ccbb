import { type Door, NoAnswer, pause } from './door.ts'
import type { Fleet } from './fleet.ts'
import { readAppended } from './project/journal.ts'
import type { Random } from './random.ts'
import type { Readers } from './readers.ts'

/** What the clients that raced for one hold were told. */
export interface Race {
  approvalId: string
  threadId: string
  kind: 'tool' | 'in_doubt'
  tool: string
  accepted: number
  refused: number
  /** Tries of which it is not known whether they counted. */
  unknown: number
  odd: string[]
}

interface Approval {
  approval_id: string
  thread_id: string
  kind: Race['kind']
  tool: string
  args: { note?: string }
  resumed_run_id: string | null
}

export interface People {
  races: Race[]
  /** Decides whatever waits, until `signal` aborts. */
  work(): Promise<void>
}

const LOOK_EVERY_MS = 200
const RACERS = 3
/** What an execution that was given up may still take for its effect (rude tools, script.ts). */
const STILL_HAPPENS_MS = 1_500

/** Several clients at once decide each hold. A call in doubt is decided by what the journal says. */
export function createPeople(options: {
  door: Door
  fleet: Fleet
  readers: Readers
  random: Random
  directory: string
  signal: AbortSignal
  failed: (error: unknown) => void
}): People {
  const { door, fleet, readers, directory, signal } = options
  const races = new Map<string, Race>()

  const decideOne = async (race: Race, approval: Approval) => {
    const random = options.random.fork(race.approvalId)
    const decisions = race.kind === 'in_doubt' ? await truth(approval) : opinions(random)
    await Promise.all(
      decisions.map(async (decision) => {
        await pause(signal, random.int(0, 30))
        await insist(race, decision)
      }),
    )
    const answer = await door.insist('GET', `/approvals/${race.approvalId}`)
    const { resumed_run_id } = answer.json<Approval>()
    if (resumed_run_id !== null) readers.follow(race.threadId, resumed_run_id)
  }

  /** Until this client knows that its hold is decided, by itself or by another. */
  const insist = async (race: Race, decision: object) => {
    for (;;) {
      try {
        const { status, text } = await door.ask('POST', `/approvals/${race.approvalId}/decisions`, decision)
        if (status === 200) race.accepted++
        else if (status === 409) race.refused++
        else race.odd.push(`${status}: ${text}`)
        return
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error
        race.unknown++
        await pause(signal)
      }
    }
  }

  const truth = async ({ args }: Approval) => {
    await pause(signal, STILL_HAPPENS_MS)
    // A process that is frozen could go on and do it: whoever says "it did not happen" has looked after it.
    while (!fleet.isQuiet()) await pause(signal)
    const happened = readAppended(directory).some(({ note }) => note === args.note)
    fleet.tally.add(happened ? 'doubts: it had happened' : 'doubts: it had not')
    const answer = happened ? { type: 'respond', message: 'It is in the journal.' } : { type: 'approve' }
    return [answer, answer]
  }

  return {
    get races() {
      return [...races.values()]
    },
    async work() {
      while (!signal.aborted) {
        await pause(signal, LOOK_EVERY_MS)
        const answer = await door.insist('GET', '/approvals?status=pending&limit=1000')
        for (const approval of answer.json<Approval[]>()) {
          if (races.has(approval.approval_id)) continue
          const { approval_id: approvalId, thread_id: threadId, kind, tool } = approval
          const race: Race = {
            approvalId,
            threadId,
            kind,
            tool,
            accepted: 0,
            refused: 0,
            unknown: 0,
            odd: [],
          }
          races.set(approvalId, race)
          decideOne(race, approval).catch(options.failed)
        }
      }
    },
  }
}

/** Mostly of one mind, so that most calls run. */
function opinions(random: Random): object[] {
  const kind = random.next()
  if (kind < 0.8) return Array.from({ length: RACERS }, () => ({ type: 'approve' }))
  if (kind < 0.9) return Array.from({ length: RACERS }, () => ({ type: 'reject', message: 'no' }))
  return [
    { type: 'approve' },
    { type: 'reject', message: 'no' },
    { type: 'respond', message: 'done by hand' },
  ]
}
