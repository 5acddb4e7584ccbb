import { openPglite } from '../storage/pglite.ts'
import type { Evidence, Line } from './checks/check.ts'
import { checkEffects } from './checks/effects.ts'
import { checkEvents } from './checks/events.ts'
import { checkHolds } from './checks/holds.ts'
import { checkRecord } from './checks/record.ts'
import { checkRuns } from './checks/runs.ts'
import { checkStorage } from './checks/storage.ts'
import { checkTakeovers } from './checks/takeovers.ts'
import { readAppended, readClaimed, readMails } from './project/journal.ts'
import type { Watcher } from './watcher.ts'

type Gathered = Omit<Evidence, 'query' | 'appended' | 'claimed' | 'mails'>

/** Reads the tables and the journal when every server has ended. */
export async function audit(
  gathered: Gathered,
  { directory, dataDir }: { directory: string; dataDir: string },
  watcher: Watcher,
): Promise<{ lines: Line[]; evidence: Evidence }> {
  const embedded = gathered.watched ? undefined : await openPglite(dataDir)
  try {
    const query: Evidence['query'] = async <Row>(sql: string, values?: unknown[]) =>
      (embedded ? (await embedded.query(sql, values)).rows : await watcher.query(sql, values)) as Row[]
    const evidence: Evidence = {
      ...gathered,
      query,
      appended: readAppended(directory),
      claimed: await readClaimed(directory),
      mails: await readMails(dataDir),
    }
    const lines = [
      ...(await checkRuns(evidence)),
      ...(await checkEffects(evidence)),
      ...(await checkHolds(evidence)),
      ...(await checkEvents(evidence)),
      ...(await checkRecord(evidence)),
      ...(await checkStorage(evidence)),
      ...(gathered.watched ? await checkTakeovers(evidence) : []),
    ]
    return { lines, evidence }
  } finally {
    await embedded?.close()
  }
}
