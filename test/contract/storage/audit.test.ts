import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { type AuditHead, auditKeys, type NewEntry, registryOf } from '../../../runtime/audit.ts'
import { newId } from '../../../runtime/ids.ts'
import { lineOf } from '../../../runtime/verify-chain.ts'
import { startHeadExport } from '../../../server/head-export.ts'
import { createAudit } from '../../../storage/audit.ts'
import type { Database } from '../../../storage/database.ts'
import { beginRecord, withRecord } from '../../../storage/record.ts'
import { verifyAll } from '../../../storage/verify-record.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import { temporaryDirectory } from '../../support/server.ts'
import { WAIT } from '../../support/stage.ts'
import {
  claimOf,
  createRun,
  createThread,
  createWorker,
  endedWell,
  pausedState,
  secretAt,
  useStorage,
  watchedPorts,
} from '../../support/storage.ts'

const entry = (threadId: string, note: string): NewEntry => ({
  kind: 'effect.begun',
  actor: 'test',
  actor_type: 'system',
  thread_id: threadId,
  data: { note },
})

function record(db: Database, threadId: string, ...notes: string[]): Promise<void> {
  return db.transaction(async ({ recorded }) => {
    recorded.push(...notes.map((note) => entry(threadId, note)))
  })
}

onBothDatabases((database) => {
  const storage = useStorage(database)
  const secret = () => secretAt(database.place)

  async function faults(exported: AuditHead[] = []): Promise<string[]> {
    const keys = auditKeys(await secret())
    const { faults: found } = await storage.mine.db.transaction((client) => verifyAll(client, keys, exported))
    return found.map(lineOf)
  }

  /** A thread with six entries, and a repair of whatever a test does to the tables. */
  async function sixEntries(): Promise<{ threadId: string; chain: string }> {
    const threadId = newId()
    for (const note of ['one', 'two', 'three', 'four', 'five', 'six'])
      await record(storage.mine.db, threadId, note)
    return { threadId, chain: `thread:${threadId}` }
  }

  describe('what somebody with the database, but not the secret, does to it', () => {
    const EDIT = `update audit_entries set entry = replace(entry::text, 'three', 'other')::json where chain = $1 and seq = 3`
    const done: Record<string, { sql: string[]; found: string[] }> = {
      'alters an entry': { sql: [EDIT], found: ['entry 3: altered'] },
      'alters an entry and its MAC': {
        sql: [EDIT, `update audit_entries set mac = repeat('a', 64) where chain = $1 and seq = 3`],
        found: ['entry 3: recomputed'],
      },
      'deletes an entry': {
        sql: ['delete from audit_entries where chain = $1 and seq = 3'],
        found: ['entry 3: missing'],
      },
      'deletes an entry and closes the gap': {
        sql: [
          'delete from audit_entries where chain = $1 and seq = 3',
          'update audit_entries set seq = seq - 1 + 100 where chain = $1 and seq > 3',
          'update audit_entries set seq = seq - 100 where chain = $1 and seq > 100',
        ],
        found: ['entry 3: missing'],
      },
      'inserts an entry at the end': {
        sql: [
          `insert into audit_entries select chain, 7, replace(entry::text, '"seq":6', '"seq":7')::json, mac from audit_entries where chain = $1 and seq = 6`,
        ],
        found: ['entry 7: inserted'],
      },
      'inserts an entry in the middle': {
        sql: [
          'update audit_entries set seq = seq + 101 where chain = $1 and seq >= 3',
          'update audit_entries set seq = seq - 100 where chain = $1 and seq > 100',
          `insert into audit_entries select chain, 3, replace(entry::text, 'two', 'new')::json, mac from audit_entries where chain = $1 and seq = 2`,
        ],
        found: ['entry 3: inserted'],
      },
      'swaps two entries': {
        sql: [
          'update audit_entries set seq = 100 where chain = $1 and seq = 2',
          'update audit_entries set seq = 2 where chain = $1 and seq = 5',
          'update audit_entries set seq = 5 where chain = $1 and seq = 100',
        ],
        found: ['entry 2: out of order', 'entry 5: out of order'],
      },
      'cuts the tail': {
        sql: ['delete from audit_entries where chain = $1 and seq > 4'],
        found: ['entry 5: tail cut (its head says 6)'],
      },
      'cuts all of it, and leaves the head': {
        sql: ['delete from audit_entries where chain = $1'],
        found: ['entry 1: tail cut (its head says 6)'],
      },
      'alters the head': {
        sql: ['update audit_heads set seq = 4 where chain = $1'],
        found: ['head altered'],
      },
      'deletes the head': { sql: ['delete from audit_heads where chain = $1'], found: ['head missing'] },
      'deletes the chain': {
        sql: ['delete from audit_entries where chain = $1', 'delete from audit_heads where chain = $1'],
        found: ['missing'],
      },
    }
    test.each(Object.entries(done))('%s', async (_what, { sql, found }) => {
      const { chain } = await sixEntries()
      const undo = await saved(storage.mine.db, chain)
      expect(await faults()).toEqual([])
      for (const statement of sql) await storage.mine.db.query(statement.replaceAll('$1', `'${chain}'`))
      const lines = await faults()
      await undo()
      expect(lines).toEqual(
        found.map((what) => `chain ${chain}${what.startsWith('entry') ? ',' : ':'} ${what}`),
      )
      expect(await faults()).toEqual([])
    })

    test('computes the chain anew with a key of their own', async () => {
      const { chain, threadId } = await sixEntries()
      const undo = await saved(storage.mine.db, chain, registryOf(chain))
      await storage.mine.db.query('delete from audit_entries where chain = $1', [chain])
      await storage.mine.db.query('delete from audit_heads where chain = $1', [chain])
      const forging = withRecord(storage.mine.db, auditKeys('a guess of thirty-two characters'))
      for (const note of ['one', 'two', 'other', 'four', 'five', 'six']) await record(forging, threadId, note)
      const lines = await faults()
      await undo()
      expect(lines.filter((line) => line.startsWith(`chain ${chain}`))).toContain(
        `chain ${chain}: head altered`,
      )
      expect(lines).toContain(`chain ${chain}, entry 1: inserted`)
    })

    test('cuts the tail and puts an older head back: the exported one tells', async () => {
      const { chain, threadId } = await sixEntries()
      const audit = createAudit(storage.mine.db)
      const older = (await audit.heads(undefined)).heads.find((head) => head.chain === chain)
      await record(storage.mine.db, threadId, 'seven', 'eight')
      const exported = (await audit.heads(undefined)).heads.filter((head) => head.chain === chain)
      const undo = await saved(storage.mine.db, chain)
      await storage.mine.db.query('delete from audit_entries where chain = $1 and seq > 6', [chain])
      await storage.mine.db.query(
        'update audit_heads set seq = 6, mac = $2, signature = $3 where chain = $1',
        [chain, older?.mac, older?.signature],
      )
      const [without, with_] = [await faults(), await faults(exported)]
      await undo()
      expect(without).toEqual([])
      expect(with_).toEqual([`chain ${chain}, entry 7: tail cut (an exported head says 8)`])
    })
  })

  test('many threads at once, from two processes: every chain is whole', async () => {
    const threads = Array.from({ length: 12 }, () => newId())
    const writes = threads.flatMap((threadId) =>
      Array.from({ length: 10 }, (_, n) =>
        record(n % 2 === 0 ? storage.mine.db : storage.other.db, threadId, `${n}a`, `${n}b`),
      ),
    )
    await Promise.all(writes)
    const audit = createAudit(storage.mine.db)
    for (const threadId of threads) {
      const entries = await audit.search({ thread_id: threadId, order: 'asc', limit: 100 })
      expect(entries.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: 20 }, (_, n) => n + 1),
      )
      // What one transaction records stands together.
      const notes = entries.toSorted((a, b) => a.seq - b.seq).map(({ data }) => data['note'] as string)
      for (let n = 0; n < notes.length; n += 2)
        expect(notes[n + 1]?.slice(0, -1)).toBe(notes[n]?.slice(0, -1))
    }
    expect(await faults()).toEqual([])
  })

  test('what a transaction does not commit is not recorded, and its number is given to the next', async () => {
    const threadId = newId()
    await record(storage.mine.db, threadId, 'one')
    const broken = storage.mine.db.transaction(async ({ recorded }) => {
      recorded.push(entry(threadId, 'two'))
      throw new Error('on purpose')
    })
    await expect(broken).rejects.toThrow('on purpose')
    await record(storage.mine.db, threadId, 'three')
    const entries = await createAudit(storage.mine.db).search({ thread_id: threadId, order: 'asc', limit: 9 })
    expect(entries.map(({ seq, data }) => [seq, data['note']])).toEqual([
      [1, 'one'],
      [2, 'three'],
    ])
    expect(await faults()).toEqual([])
  })

  test('a run that holds nothing asks nothing of the record', async () => {
    const asked: string[] = []
    const counted = await watchedPorts(storage.mine.db, await secret(), (sql) => asked.push(sql))
    const threadId = await createThread(counted)
    await createRun(counted, threadId)
    const run = await claimOf(counted, await createWorker(counted), threadId)
    await counted.events.append(run, 0, [{ event: 'values', data: '{}' }])
    expect(await counted.queue.settle(run, endedWell())).toBe(true)
    expect(asked.length).toBeGreaterThan(8)
    expect(asked.filter((sql) => sql.includes('audit_'))).toEqual([])

    await createRun(counted, threadId)
    const next = await claimOf(counted, await createWorker(counted), threadId)
    expect(await counted.queue.settle(next, endedWell(pausedState(threadId, [{ a: 1 }])))).toBe(true)
    // The thread's head, which is not there, and is begun; its entry; the same of the registry that notes it.
    expect(asked.filter((sql) => sql.includes('audit_')).length).toBe(5)
  })

  test('heads that change are exported, each once, to the file and to the log', async () => {
    const directory = await temporaryDirectory()
    // As of a server that has kept nothing there yet.
    const dataDir = join(directory, 'new')
    const log: unknown[] = []
    const info = (_message: string, fields?: Record<string, unknown>) => log.push(fields?.['heads'])
    const start = () =>
      startHeadExport(
        { audit: createAudit(storage.mine.db), dataDir, log: { info, warn: info, error: info } },
        20,
      )
    const seqs = async (threadId: string) =>
      (await readFile(join(dataDir, 'audit-heads.jsonl'), 'utf8').catch(() => ''))
        .split('\n')
        .filter((line) => line.includes(threadId))
        .map((line) => (JSON.parse(line) as AuditHead).seq)
    const [one, two] = [newId(), newId()]
    await record(storage.mine.db, one, 'a')
    const exporting = start()
    try {
      await vi.waitFor(async () => expect(await seqs(one)).toEqual([1]), WAIT)
      await record(storage.other.db, one, 'b', 'c')
      await vi.waitFor(async () => expect(await seqs(one)).toEqual([1, 3]), WAIT)
      await record(storage.other.db, two, 'a')
    } finally {
      await exporting.close()
    }
    expect([await seqs(one), await seqs(two)]).toEqual([[1, 3], [1]])
    expect(log.flat()).toContainEqual(expect.objectContaining({ chain: `thread:${two}`, seq: 1 }))
    const lines = (await readFile(join(dataDir, 'audit-heads.jsonl'), 'utf8')).trim().split('\n')
    expect(await faults(lines.map((line) => JSON.parse(line) as AuditHead))).toEqual([])

    // The next server begins where the last one stopped.
    const changed = `update audit_heads set updated_at = updated_at - interval '2 minutes' where chain = $1`
    await storage.mine.db.query(changed, [`thread:${one}`])
    await start().close()
    expect(await seqs(one)).toEqual([1, 3])
    await rm(directory, { recursive: true })
  })

  test('a second begin changes nothing, and another secret is refused in one line', async () => {
    const count = 'select count(*)::integer as n from audit_entries'
    const before = await storage.mine.db.query(count)
    await beginRecord(storage.mine.db, await secret())
    expect((await storage.mine.db.query(count)).rows).toEqual(before.rows)
    await expect(beginRecord(storage.mine.db, 'another one, of thirty-two characters')).rejects.toThrow(
      /^HOLDPOINT_SECRET is not the one that this database was begun with\. .+$/,
    )
  })

  test('texts that no JSON can hold as they are do not stop the record', async () => {
    const threadId = newId()
    await storage.mine.db.transaction(async ({ recorded }) => {
      recorded.push({ ...entry(threadId, 'a\0b\ud800'), actor: 'x\0y' })
    })
    const found = await createAudit(storage.mine.db).search({ actor: 'x\ufffdy', order: 'desc', limit: 1 })
    expect(found).toMatchObject([{ thread_id: threadId, data: { note: 'a\ufffdb\ufffd' } }])
    expect(await faults()).toEqual([])
  })
})

/** Returns what puts the chains back as they are. */
async function saved(db: Database, ...chains: string[]): Promise<() => Promise<void>> {
  const rows = async (table: string) =>
    (await db.query(`select row_to_json(t)::text as row from ${table} t where chain = any($1)`, [chains]))
      .rows
  const kept = { audit_entries: await rows('audit_entries'), audit_heads: await rows('audit_heads') }
  return async () => {
    for (const [table, list] of Object.entries(kept)) {
      await db.query(`delete from ${table} where chain = any($1)`, [chains])
      for (const { row } of list)
        await db.query(`insert into ${table} select * from json_populate_record(null::${table}, $1::json)`, [
          row,
        ])
    }
  }
}
