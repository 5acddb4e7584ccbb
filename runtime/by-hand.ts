import { argsHash, type CallKey, grantHash } from './call.ts'
import type { Intent, Ledger } from './effect.ts'
import { type Decision, HoldAnswer, holdsOf } from './hold.ts'
import type { Json } from './json.ts'
import { type Observations, observed } from './observed.ts'
import { LOCAL } from './people.ts'
import type { CheckArgs } from './resume.ts'
import { type Answer, enterRun, type Release, type RunContext } from './run-context.ts'
import type { Services } from './services.ts'
import { newId } from './ids.ts'

const BY_HAND = 'by hand'

export interface ByHand {
  /** Runs `inside`, usually one `graph.invoke`, as part of a run on the thread. */
  run<T>(threadId: string, inside: () => Promise<T>, signal?: AbortSignal): Promise<T>
  /**
   * Records the decisions on an interrupt of the hold node, one for each of its calls in order, and returns the value
   * to resume it with: `new Command({ resume: { [interrupt.id]: value } })`.
   */
  decide(threadId: string, interrupt: unknown, decisions: Decision[]): Json
}

/**
 * Runs graphs without a server: in a script, a test, another framework. What is released is kept in memory, so a
 * call that was held runs only in the process in which it was released. Nothing is leased, recorded or sent out.
 *
 * @example
 * const hand = byHand({ services, checkArgs })
 * const paused = await hand.run(id, () => graph.invoke(input, config))
 * const [asked] = paused.__interrupt__
 * const answer = hand.decide(id, asked.value, [{ type: 'approve' }])
 * await hand.run(id, () => graph.invoke(new Command({ resume: { [asked.id]: answer } }), config))
 */
export function byHand({ services, checkArgs }: { services: Services; checkArgs: CheckArgs }): ByHand {
  const released = new Map<string, Release>()
  const answers = new Map<string, Answer>()
  const open = new Set<string>()
  const ledger = memoryLedger(open)
  const read = new Map<string, Set<string>>()
  const readings = (threadId: string): Observations => ({
    sources: () => Promise.resolve([...(read.get(threadId) ?? [])]),
    read(tools) {
      read.set(threadId, new Set([...(read.get(threadId) ?? []), ...tools]))
      return Promise.resolve()
    },
    refused: () => Promise.resolve(),
  })
  const nameOf = ({ threadId, messageId, callId }: CallKey) => JSON.stringify([threadId, messageId, callId])
  return {
    run(threadId, inside, signal = new AbortController().signal) {
      const grants = {
        released(call: CallKey) {
          const release = released.get(nameOf(call))
          return Promise.resolve(release && { ...release, begun: ledger.hasBegun(call, release.hash) })
        },
        askedAgain(call: CallKey) {
          const answer = answers.get(nameOf(call))
          return Promise.resolve(answer && { state: 'answered' as const, answer })
        },
      }
      const runId = newId()
      const run: RunContext = {
        threadId,
        runId,
        assistantId: BY_HAND,
        graphId: BY_HAND,
        tenantId: 'default',
        requester: BY_HAND,
        roles: LOCAL.roles,
        signal,
        services,
        grants,
        ledger,
        observed: observed(readings(threadId)),
        attempt: runId,
        // Whoever runs a graph by hand has chosen its durability.
        checkpointed: () => Promise.resolve(),
      }
      return enterRun(run, inside)
    },
    decide(threadId, interrupt, decisions) {
      const asked = holdsOf(threadId, interrupt)
      if (asked.length === 0 || asked.length !== decisions.length) {
        throw new Error(
          `${asked.length} calls wait in this interrupt, ${decisions.length} decisions were given. Give one for each.`,
        )
      }
      const said = asked.map((hold, index) => {
        const decision = decisions[index] ?? { type: 'reject' as const }
        const edited = decision.type === 'edit' ? checkArgs(hold, decision.args ?? null) : undefined
        const args = decision.type === 'approve' ? hold.args : edited?.args
        const call = { threadId, messageId: hold.message_id, callId: hold.call_id }
        const { type, message } = decision
        released.delete(nameOf(call))
        answers.delete(nameOf(call))
        if (args !== undefined) {
          open.add(grantHash(call, { name: hold.tool, version: hold.tool_version }, args))
          released.set(nameOf(call), {
            approvalId: hold.approval_id,
            tool: hold.tool,
            hash: argsHash(args),
            votes: [{ by: BY_HAND, roles: [...LOCAL.roles] }],
            lost: [],
            escalated: false,
            toolVersion: hold.tool_version,
            previewHash: edited === undefined ? hold.preview_hash : null,
            begun: false,
            lapsed: false,
            unread: edited?.checkedBy === 'schema',
          })
        } else if (hold.replaces !== null && (type === 'reject' || type === 'respond')) {
          answers.set(nameOf(call), { type, ...(message === undefined ? {} : { message }) })
        }
        return {
          approval_id: hold.approval_id,
          args_hash: hold.args_hash,
          type,
          ...(edited === undefined ? {} : { args: edited.args }),
          ...(message === undefined ? {} : { message }),
        }
      })
      return HoldAnswer.parse({ decisions: said }) as Json
    },
  }
}

/** What was done in this process is not done again in it. `open`: the hashes of the grants that nobody has used. */
function memoryLedger(open: Set<string>): Ledger & { hasBegun(call: CallKey, hash: string): boolean } {
  const outcomes = new Map<string, Json>()
  const begun = new Set<string>()
  const nameOf = ({ call, argsHash: hash }: Pick<Intent, 'call' | 'argsHash'>) =>
    JSON.stringify([call.threadId, call.messageId, call.callId, hash])
  return {
    hasBegun: (call, hash) => begun.has(nameOf({ call, argsHash: hash })),
    intend(intent) {
      const name = nameOf(intent)
      const outcome = outcomes.get(name)
      if (outcome !== undefined) return Promise.resolve({ state: 'ended', outcome })
      const granted = intent.grant === undefined || begun.has(name) || open.delete(intent.grant.hash)
      if (granted) begun.add(name)
      return Promise.resolve({ state: granted ? 'begin' : 'ungranted' })
    },
    find(intent) {
      const outcome = outcomes.get(nameOf(intent))
      return Promise.resolve(outcome === undefined ? undefined : { state: 'ended', outcome })
    },
    retake: () => Promise.resolve(),
    conclude(intent, _status, outcome) {
      outcomes.set(nameOf(intent), outcome)
      return Promise.resolve()
    },
  }
}
