import type { Entry } from '../project/journal.ts'
import type { Acknowledged } from '../load.ts'
import type { Race } from '../people.ts'
import type { Reading } from '../reader.ts'
import type { Script } from '../script.ts'
import type { Tally } from '../tally.ts'
import type { Orphan } from '../watcher.ts'

/** One line of the table. */
export interface Line {
  what: string
  /** As a person reads it. */
  found: string
  ok: boolean
  /** What to look at where it is not: threads, runs, calls. */
  look: string[]
}

/** All that there is at the end, when every server has stopped. */
export interface Evidence {
  query<Row>(sql: string, values?: unknown[]): Promise<Row[]>
  scripts: Map<string, Script>
  acknowledged: Acknowledged[]
  readings: Reading[]
  races: Race[]
  appended: Entry[]
  claimed: Entry[]
  mails: string[]
  orphans: Orphan[]
  tally: Tally
  leaseMs: number
  /** False for an embedded database, where nobody outside saw who executed what. */
  watched: boolean
}

/** Zero is right, anything else has to be looked at. */
export function none(what: string, wrong: string[]): Line {
  return { what, found: String(wrong.length), ok: wrong.length === 0, look: wrong }
}

export function fact(what: string, found: string | number): Line {
  return { what, found: String(found), ok: true, look: [] }
}
