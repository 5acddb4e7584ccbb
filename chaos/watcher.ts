import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

/** A run that a dead worker left: how long it stays alone is the latency of its takeover. */
export interface Orphan {
  runId: string
  attempt: number
  /** Milliseconds since 1970, when its process died. */
  diedAt: number
}

/** Looks at the database past the servers and their proxies. */
export interface Watcher {
  workers(): Promise<Set<string>>
  isExecuting(workerId: string | undefined): Promise<boolean>
  /** False where a run of it has lost its workers before it came further: one more, and it is given up as it should be. */
  mayDie(workerId: string | undefined): Promise<boolean>
  /** Notes what the worker was executing. */
  died(workerId: string | undefined, at: number): void
  /** While the database is away on purpose, nothing is a takeover's fault. */
  away(from: number, to: number): void
  orphans(): Promise<Orphan[]>
  query<Row extends pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]>
  close(): Promise<void>
}

const RETRIES = 600
const RETRY_MS = 100

/** The product gives a run up after three takeovers without a new checkpoint (`MAX_STALLS`). */
const MOST_STALLS = 2

const LEFT = `select run_id, attempt from runs where status = 'running' and worker_id = $1`

export function createWatcher(url: string): Watcher {
  const pool = new pg.Pool({ connectionString: url, max: 4, connectionTimeoutMillis: 3_000 })
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  const query: Watcher['query'] = async (sql, values) => {
    for (let tries = 0; ; tries++) {
      try {
        return (await pool.query(sql, values)).rows
      } catch (error) {
        // An SQL error is the caller's; everything else is a database that is away.
        if (/^(42|22)/.test(String((error as { code?: string }).code)) || tries === RETRIES) throw error
        await sleep(RETRY_MS)
      }
    }
  }
  const outages: [number, number][] = []
  const orphans: Promise<Orphan[]>[] = []
  return {
    query,
    async workers() {
      const exists = await query<{ name: string | null }>(`select to_regclass('workers')::text as name`)
      if (exists[0]?.name == null) return new Set()
      const rows = await query<{ worker_id: string }>('select worker_id from workers')
      return new Set(rows.map(({ worker_id }) => worker_id))
    },
    async isExecuting(workerId) {
      return workerId !== undefined && (await query(LEFT, [workerId])).length > 0
    },
    async mayDie(workerId) {
      if (workerId === undefined) return true
      return (await query(`${LEFT} and stalls >= $2`, [workerId, MOST_STALLS])).length === 0
    },
    died(workerId, at) {
      if (workerId === undefined) return
      const left = query<{ run_id: string; attempt: number }>(LEFT, [workerId])
      orphans.push(
        left.then((rows) => rows.map(({ run_id, attempt }) => ({ runId: run_id, attempt, diedAt: at }))),
      )
    },
    away: (from, to) => void outages.push([from, to]),
    async orphans() {
      const all = (await Promise.all(orphans)).flat()
      return all.filter(({ diedAt }) => !outages.some(([from, to]) => diedAt > from && diedAt < to))
    },
    close: () => pool.end(),
  }
}

/** What a server says of its threads over HTTP. */
export interface Outside {
  isBusy(): boolean
  /** How often the server was started. */
  starts(): number
  /** The newest checkpoint of each thread that has a run. Rejects where the server does not answer. */
  heads(): Promise<Map<string, string>>
}

/** Of an embedded database only its own server can say anything. */
export function createBlindWatcher({ isBusy, starts, heads }: Outside): Watcher {
  /** Since which start a thread has had its checkpoint. */
  const since = new Map<string, { head: string; start: number }>()
  let lastLook = 0
  return {
    workers: () => Promise.resolve(new Set()),
    isExecuting: () => Promise.resolve(isBusy()),
    async mayDie() {
      const now = await heads().catch(() => undefined)
      if (now === undefined) return false
      // What is new may have come right after the last look, and have lost its workers since.
      for (const [threadId, head] of now)
        if (since.get(threadId)?.head !== head) since.set(threadId, { head, start: lastLook })
      lastLook = starts()
      return [...now.keys()].every(
        (threadId) => starts() - (since.get(threadId)?.start ?? starts()) < MOST_STALLS,
      )
    },
    died: () => {},
    away: () => {},
    orphans: () => Promise.resolve([]),
    query: () => Promise.reject(new Error('The embedded database is open in its server.')),
    close: () => Promise.resolve(),
  }
}
