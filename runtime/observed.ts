import type { CallKey } from './call.ts'

/** A call that an agent may not make, as the record tells it. */
export interface Refused {
  call: CallKey
  tool: string
  /** SHA-256 of the arguments, as RFC 8785 writes them; null where they have no such form. */
  argsHash: string | null
  /** Of the policy that refused it; null: the tool, or the agent's list of tools. */
  rule: string | null
  policyVersion: string
  /** What the model was told. */
  message: string
}

/**
 * What happened on a thread that no state may hide. What others wrote into its context stays there for good, in every
 * agent of the thread, whatever becomes of the messages.
 */
export interface Observations {
  /** Names of the tools whose untrusted results the thread has. */
  sources(): Promise<string[]>
  /** Fenced: written before the results are in any state. */
  read(tools: string[]): Promise<void>
  /** Once for each call, however often its node runs. */
  refused(refused: Refused[]): Promise<void>
}

/** The same for one execution of a run, which asks the table no more often than it has to. */
export interface Observed {
  /** As far as it was looked up; `undefined`: never. */
  readonly untrusted: readonly string[] | undefined
  look(): Promise<void>
  read(tools: string[]): Promise<void>
  refused(refused: Refused[]): Promise<void>
}

export function observed(observations: Observations): Observed {
  let known: Set<string> | undefined
  const noted = new Set<string>()
  return {
    get untrusted() {
      return known && [...known]
    },
    async look() {
      known = new Set([...noted, ...(await observations.sources())])
    },
    async read(tools) {
      const added = [...new Set(tools)].filter((tool) => !noted.has(tool))
      if (added.length === 0) return
      await observations.read(added)
      for (const tool of added) {
        noted.add(tool)
        known?.add(tool)
      }
    },
    async refused(refused) {
      if (refused.length > 0) await observations.refused(refused)
    },
  }
}
