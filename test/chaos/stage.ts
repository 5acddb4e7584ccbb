import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { startScriptedModel } from '../../chaos/model.ts'
import { readAppended, readClaimed, readMails } from '../../chaos/project/journal.ts'
import { type Graph, type ScriptedCall, taskOf } from '../../chaos/script.ts'
import { endProcess, type ServerProcess, startServerProcess } from '../../chaos/server-process.ts'
import { newId } from '../../runtime/ids.ts'
import type { Hold } from '../../runtime/hold.ts'
import type { ChatServer } from '../../models/chat-protocol.ts'
import { verifyIn } from '../../storage/verify-storage.ts'
import { verifyRecord } from '../../storage/verify-record.ts'
import { useDatabase } from '../support/database.ts'
import { migrateDatabase, TEST_SECRET } from '../support/server.ts'
import { httpOn } from '../support/stage.ts'

/** Every test waits for it to end; much shorter, and a live worker on a busy machine loses it. */
export const LEASE_MS = 1_500
const PROJECT = new URL('../../chaos/project/langgraph.json', import.meta.url)
export const WAIT = { timeout: 30_000, interval: 25 }

export interface RunRow {
  run_id: string
  status: string
  attempt: number
  lease_token: string
  error: unknown
}

export interface Started {
  threadId: string
  tag: string
  /** Of the first call: what the journal names its effect. */
  note: string
}

export type Call = Partial<ScriptedCall> & Pick<ScriptedCall, 'tool'>

/** Servers of the chaos project that share one PostgreSQL, the model that scripts them and the journal outside. */
export function useServers() {
  const database = useDatabase(migrateDatabase)
  let directory = ''
  let model: ChatServer | undefined
  let pool: pg.Pool | undefined
  const servers: ServerProcess[] = []
  let asked = 0
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdpoint-test-chaos-'))
    model = await startScriptedModel(() => asked++)
    pool = new pg.Pool({ connectionString: database.url, max: 3 })
  })
  afterAll(async () => {
    for (const server of servers) server.signal('SIGCONT')
    await Promise.all(servers.map((server) => endProcess(server, 'SIGKILL', 5_000)))
    if (pool !== undefined) expect((await verifyIn(pool)).faults).toEqual([])
    await pool?.end()
    await model?.close()
    await rm(directory, { recursive: true, force: true })
  })

  const rows = async <Row extends pg.QueryResultRow>(sql: string, ...values: unknown[]): Promise<Row[]> => {
    if (pool === undefined) throw new Error('The database is there from beforeAll on.')
    return (await pool.query<Row>(sql, values)).rows
  }
  const stage = {
    rows,
    databaseUrl: () => database.url,
    /** How often the model was asked so far. */
    asked: () => asked,
    async server(failpoints = '', env: Record<string, string> = {}): Promise<ServerProcess> {
      const server = await startServerProcess({
        log: join(directory, 'server.log'),
        env: {
          PORT: '0',
          DATABASE_URL: database.url,
          HOLDPOINT_CONFIG: PROJECT.pathname,
          HOLDPOINT_CHAOS_DIR: directory,
          HOLDPOINT_DATA_DIR: join(directory, 'data'),
          HOLDPOINT_LEASE_MS: String(LEASE_MS),
          HOLDPOINT_SECRET: TEST_SECRET,
          OPENAI_API_KEY: 'chaos',
          OPENAI_BASE_URL: model?.url ?? '',
          ...(failpoints === '' ? {} : { HOLDPOINT_TEST_MODE: '1', HOLDPOINT_FAILPOINTS: failpoints }),
          ...env,
        },
      })
      servers.push(server)
      return server
    },
    /** Starts a run that makes these calls, one turn each list; nobody may be there any more to answer. */
    async run(
      server: ServerProcess,
      turns: Call[][],
      graph: Graph = 'chaos_react',
      more: object = {},
    ): Promise<Started> {
      const tag = newId().slice(-12)
      const threadId = newId()
      const script = {
        tag,
        graph,
        turns: turns.map((calls, turn) =>
          calls.map((call, index) => ({ before: 0, after: 0, note: `${tag}.${turn}.${index}`, ...call })),
        ),
      }
      const body = {
        assistant_id: graph,
        input: { messages: [{ role: 'user', content: taskOf(script) }] },
        if_not_exists: 'create',
        ...more,
      }
      await request(server.url, 'POST', `/threads/${threadId}/runs`, body).catch(() => undefined)
      return { threadId, tag, note: `${tag}.0.0` }
    },
    runs: (threadId: string) =>
      rows<RunRow>(
        'select run_id, status, attempt, lease_token, error from runs where thread_id = $1 order by position',
        threadId,
      ),
    /** The thread's runs, when all have ended well and nobody is waited for. */
    ended: (threadId: string) =>
      vi.waitFor(async () => {
        const runs = await stage.runs(threadId)
        expect(runs.map(({ status }) => status)).toEqual(runs.map(() => 'success'))
        expect(runs).not.toEqual([])
        expect(await stage.threadStatus(threadId)).not.toBe('busy')
        return runs
      }, WAIT),
    async threadStatus(threadId: string) {
      const found = await rows<{ status: string }>(
        'select status from threads where thread_id = $1',
        threadId,
      )
      return found[0]?.status
    },
    effects: (threadId: string) =>
      rows<{ tool: string; status: string; key: string }>(
        'select tool, status, key from effects where thread_id = $1 order by created_at',
        threadId,
      ),
    holds: (threadId: string) =>
      rows<Hold & { n: number }>(
        'select *, json_array_length(decisions) as n from holds where thread_id = $1 order by created_at, approval_id',
        threadId,
      ),
    /** The kinds of the thread's entries, in their order. */
    async record(threadId: string) {
      const found = await rows<{ kind: string }>(
        `select entry ->> 'kind' as kind from audit_entries where chain = 'thread:' || $1 order by seq`,
        threadId,
      )
      return found.map(({ kind }) => kind)
    },
    verify: () =>
      verifyRecord(
        {
          databaseUrl: database.url,
          dataDir: '',
          secret: TEST_SECRET,
          poolSize: 1,
          connectTimeoutMs: 3_000,
        },
        [],
      ),
    /** Effects and holds whose entries are not as many as what happened to them. */
    unrecorded: () =>
      rows<{ what: string }>(
        `select 'effect ' || key as what from effects
         where (select count(*) from audit_entries where entry ->> 'kind' = 'effect.begun' and entry -> 'data' ->> 'key' = key::text) = 0
           or (select count(*) from audit_entries where entry ->> 'kind' = 'effect.ended' and entry -> 'data' ->> 'key' = key::text)
             <> (case when status in ('done', 'failed') and not exists (
               select 1 from audit_entries where entry ->> 'kind' = 'effect.settled' and entry -> 'data' ->> 'status' = 'done' and entry -> 'data' ->> 'key' = key::text
             ) then 1 else 0 end)
         union all
         select 'hold ' || approval_id from holds
         where json_array_length(decisions) <> (
           select count(*) from audit_entries where entry ->> 'kind' = 'hold.decided' and entry ->> 'approval_id' = approval_id::text
         )`,
      ),
    decide: (server: ServerProcess, approvalId: string, decision: object) =>
      request(server.url, 'POST', `/approvals/${approvalId}/decisions`, decision),
    events: (threadId: string) =>
      rows<{ run_id: string; seq: number; event: string; data: string }>(
        'select e.run_id, e.seq, e.event, e.data from events e join runs r using (thread_id, run_id) where thread_id = $1 order by r.position, e.seq',
        threadId,
      ),
    checkpoints: (threadId: string) =>
      rows<{ step: string }>(
        `select metadata ->> 'step' as step from checkpoints where thread_id = $1::text order by position`,
        threadId,
      ),
    writes: (threadId: string) =>
      rows<{ channel: string }>('select channel from checkpoint_writes where thread_id = $1::text', threadId),
    /** How often the effect that the note names happened. */
    async times(note: string): Promise<number> {
      const entries = [...readAppended(directory), ...(await readClaimed(directory))]
      const mails = await readMails(join(directory, 'data'))
      return (
        entries.filter((entry) => entry.note === note).length + mails.filter((one) => one === note).length
      )
    },
    /** Of the messages in the thread's values, how many hold the text. */
    async said(threadId: string, text: string): Promise<number> {
      const found = await rows<{ n: number }>(
        `select count(*)::integer as n from threads, jsonb_array_elements("values" -> 'messages') m
         where thread_id = $1 and m::text like '%' || $2 || '%'`,
        threadId,
        text,
      )
      return found[0]?.n ?? 0
    },
    /** A process that is stopped does nothing until it is waked, and finds its lease over then. */
    async asleep(server: ServerProcess): Promise<void> {
      server.signal('SIGSTOP')
      await sleep(20)
    },
  }
  return stage
}

/** On a connection of its own: one that was kept open breaks when a server that slept too long wakes up. */
function request(url: string, method: string, path: string, body: unknown) {
  return httpOn(url)(method, path, body, { connection: 'close' })
}
