import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { Client } from '@langchain/langgraph-sdk'
import { describe, expect, test } from 'vitest'
import type { AuditEntry } from '../../../runtime/audit.ts'
import { argsHash, grantHash } from '../../../runtime/call.ts'
import type { Hold } from '../../../runtime/hold.ts'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase, onEmbedded, onPostgres } from '../../support/each-database.ts'
import { mailTo, says, untilThread, useStage } from '../../support/stage.ts'

const GUARDED = new URL('../../support/recorded/langgraph.json', import.meta.url).pathname
const NDJSON = { accept: 'application/x-ndjson' }

onEachDatabase((database) => {
  const stage = useStage(database)

  async function held(
    subject = newId(),
  ): Promise<{ threadId: string; hold: Hold; args: Record<string, string> }> {
    stage.play({ toolCalls: [mailTo(subject)] })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail.') })
    const [hold] = await stage.holds(threadId)
    if (hold === undefined) throw new Error('Nothing is held.')
    return { threadId, hold, args: mailTo(subject).args }
  }
  const recordOf = async (threadId: string, more = ''): Promise<AuditEntry[]> =>
    (await stage.http('GET', `/audit?thread_id=${threadId}&order=asc${more}`)).json<AuditEntry[]>()
  const kinds = async (threadId: string) => (await recordOf(threadId)).map(({ kind }) => kind)

  test('an approved call: who was asked for what, who said what, what was done', async () => {
    const { threadId, hold, args } = await held()
    stage.model.play([{ content: 'Mailed.' }])
    expect(await stage.decide(hold.approval_id, { type: 'approve' })).toMatchObject({ status: 200 })
    await untilThread(stage.client, threadId, 'idle')
    const entries = await recordOf(threadId)
    expect(entries.map(({ seq, kind, actor_type }) => [seq, kind, actor_type])).toEqual([
      [1, 'hold.requested', 'agent'],
      [2, 'hold.decided', 'person'],
      [3, 'grant.committed', 'person'],
      [4, 'grant.consumed', 'agent'],
      [5, 'effect.begun', 'agent'],
      [6, 'effect.ended', 'agent'],
    ])
    const hash = argsHash(args)
    const [requested, decided, committed, consumed, begun, ended] = entries
    expect(requested).toMatchObject({
      approval_id: hold.approval_id,
      run_id: hold.run_id,
      tool: 'send_email',
      data: { args_sha256: hash, status: 'pending', released_sha256: null },
      oversight: { decision: 'held', human_review: false, reviewed_by: null, output_sha256: null },
    })
    expect(decided).toMatchObject({
      actor: 'local',
      data: { args_sha256: hash, status: 'approved', released_sha256: hash },
      oversight: {
        decision_id: hold.approval_id,
        system_id: hold.assistant_id,
        model_version: requested?.oversight?.model_version,
        input_sha256: hash,
        output_sha256: hash,
        decision: 'approve',
        human_review: true,
        reviewed_by: 'local',
        timestamp: decided?.at,
        risk_tier: hold.risk,
      },
    })
    expect(requested?.oversight?.model_version).toMatch(/./)
    const key = { threadId, messageId: hold.message_id, callId: hold.call_id }
    const granted = grantHash(key, { name: 'send_email', version: hold.tool_version }, args)
    expect(committed).toMatchObject({
      actor: 'local',
      approval_id: hold.approval_id,
      data: { grant_sha256: granted, tool_version: '1' },
    })
    expect(consumed).toMatchObject({
      approval_id: hold.approval_id,
      data: { grant_sha256: granted, attempt: expect.stringContaining(begun?.run_id ?? 'no run') },
    })
    expect(begun).toMatchObject({ tool: 'send_email', data: { args_sha256: hash, retried: false } })
    expect(ended).toMatchObject({
      data: { status: 'done', outcome_sha256: expect.stringMatching(/^\w{64}$/) },
    })
    expect(entries.map(({ previous }) => previous).slice(1)).toEqual(
      entries.map(({ mac }) => mac).slice(0, -1),
    )
  })

  test('an edit: the arguments before and after, by their hashes, and no text of theirs or of reasons', async () => {
    const { threadId, hold, args } = await held()
    stage.model.play([{ content: 'Mailed.' }])
    const edited = { ...args, subject: 'Another subject' }
    await stage.decide(hold.approval_id, { type: 'edit', args: edited, message: 'Say it better.' })
    await untilThread(stage.client, threadId, 'idle')
    const entries = await recordOf(threadId)
    const [before, after] = [argsHash(args), argsHash(edited)]
    expect(entries[1]).toMatchObject({
      kind: 'hold.decided',
      data: { args_sha256: before, edited_sha256: after, released_sha256: after },
      oversight: { decision: 'edit', input_sha256: before, output_sha256: after },
    })
    expect(entries[4]).toMatchObject({ kind: 'effect.begun', data: { args_sha256: after } })
    expect(JSON.stringify(entries)).not.toMatch(/Another subject|better|ops@example/)
  })

  test('a rejection, a plain run, and a thread that is deleted', async () => {
    const { threadId, hold } = await held()
    stage.model.play([{ content: 'Very well.' }, { content: 'Nothing to do.' }])
    await stage.decide(hold.approval_id, { type: 'reject', message: 'No.' })
    await untilThread(stage.client, threadId, 'idle')
    expect(await kinds(threadId)).toEqual(['hold.requested', 'hold.decided'])
    await stage.client.runs.wait(threadId, 'react', { input: says('Hello.') })
    await stage.client.threads.delete(threadId)
    expect(await kinds(threadId)).toEqual(['hold.requested', 'hold.decided'])
  })

  describe('what takes a pending hold away is named', () => {
    const ways: Record<string, [(threadId: string) => Promise<unknown>, string]> = {
      'a state update': [
        (threadId) => stage.client.threads.updateState(threadId, { values: says('Never mind.') }),
        'state_update',
      ],
      'the end of its thread': [(threadId) => stage.client.threads.delete(threadId), 'thread_deleted'],
      'a prune of its thread': [
        (threadId) => stage.http('POST', '/threads/prune', { thread_ids: [threadId], strategy: 'delete' }),
        'thread_deleted',
      ],
      'new input with interrupt': [
        async (threadId) => {
          stage.model.play([{ content: 'Something else.' }])
          await stage.client.runs.wait(threadId, 'react', {
            input: says('Something else.'),
            multitaskStrategy: 'interrupt',
          })
        },
        'new_input',
      ],
      'new input with rollback': [
        async (threadId) => {
          stage.model.play([{ content: 'Something else.' }])
          await stage.client.runs.wait(threadId, 'react', {
            input: says('Something else.'),
            multitaskStrategy: 'rollback',
          })
        },
        'new_input',
      ],
      'a goto': [
        (threadId) =>
          stage.client.runs.wait(threadId, 'react', { command: { goto: '__end__' } }).catch(() => undefined),
        'command',
      ],
    }
    test.each(Object.entries(ways))('%s', async (_what, [act, cause]) => {
      const { threadId, hold } = await held()
      await act(threadId)
      expect((await recordOf(threadId)).slice(0, 2)).toMatchObject([
        { seq: 1, kind: 'hold.requested' },
        {
          seq: 2,
          kind: 'hold.cancelled',
          actor: 'local',
          actor_type: 'person',
          approval_id: hold.approval_id,
          data: { cause, status: 'cancelled' },
          oversight: { decision: 'cancelled', human_review: false },
        },
      ])
    })
  })

  test('filters, pages and the export tell the same entries', async () => {
    const [one, two] = [await held(), await held()]
    stage.model.play([{ content: 'Later, then.' }])
    await stage.decide(one.hold.approval_id, { type: 'respond', message: 'Later.' })
    await untilThread(stage.client, one.threadId, 'idle')
    const since = (await recordOf(one.threadId))[0]?.at ?? ''
    const path = `/audit?since=${encodeURIComponent(since)}`
    const all = (await stage.http('GET', `${path}&limit=1000`)).json<AuditEntry[]>()
    expect(all.length).toBeGreaterThanOrEqual(3)
    expect(all.map(({ at }) => at)).toEqual(
      all
        .map(({ at }) => at)
        .toSorted()
        .toReversed(),
    )

    const paged: AuditEntry[] = []
    let cursor: string | null = ''
    for (let page = 0; cursor !== null && page < 1_000; page += 1) {
      const answer = await stage.http('GET', `${path}&limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
      paged.push(...answer.json<AuditEntry[]>())
      cursor = answer.headers.get('x-pagination-next')
    }
    expect(paged).toEqual(all)

    const exported = await stage.http('GET', path, undefined, NDJSON)
    expect(exported.headers.get('content-type')).toBe('application/x-ndjson')
    const lines = exported.text.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line) as AuditEntry)).toEqual(all)
    expect(
      (await stage.http('GET', `${path}&limit=1`, undefined, NDJSON)).text.trimEnd().split('\n'),
    ).toEqual(lines.slice(0, 1))

    const found = async (query: string) =>
      (await stage.http('GET', `/audit?limit=1000&${query}`)).json<AuditEntry[]>()
    for (const entry of await found(`thread_id=${two.threadId.toUpperCase()}`))
      expect(entry.thread_id).toBe(two.threadId)
    expect((await found('kind=hold.decided')).every(({ kind }) => kind === 'hold.decided')).toBe(true)
    expect((await found('actor=local')).every(({ actor }) => actor === 'local')).toBe(true)
    expect(await found('tool=send_email')).toEqual((await found('')).filter(({ tool }) => tool !== undefined))
    expect(await found(`until=${encodeURIComponent(since)}&thread_id=${one.threadId}`)).toEqual([])
    // With an offset, as clients elsewhere write it.
    expect(await found(`since=${encodeURIComponent('2999-01-01T00:00:00+02:00')}`)).toEqual([])
  })

  test.each([
    'limit=0',
    'limit=1001',
    'kind=nothing',
    'since=yesterday',
    'since=2030-01-01',
    'thread_id=me',
    'cursor=!',
    `cursor=${Buffer.from('["2030-01-01T00:00:00Z","x\\u0000",1]').toString('base64url')}`,
    `cursor=${Buffer.from('["x"]').toString('base64url')}`,
    'tool=%00',
    'order=up',
  ])('GET /audit?%s is 422', async (query) => {
    expect(await stage.http('GET', `/audit?${query}`)).toMatchObject({ status: 422 })
  })
})

onEmbedded((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: GUARDED })
  const as = (name: string) => {
    const headers = { authorization: `Bearer ${name}` }
    return {
      client: new Client({ apiUrl: stage.url, apiKey: null, defaultHeaders: headers }),
      record: async (query = '') =>
        (await stage.http('GET', `/audit?limit=1000${query}`, undefined, headers)).json<AuditEntry[]>(),
      exported: async () =>
        (await stage.http('GET', '/audit', undefined, { ...headers, ...NDJSON })).text
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line) as AuditEntry),
    }
  }

  test('with auth everybody reads what is of their own threads, and nobody what is of none', async () => {
    const alice = as('alice')
    stage.play({ toolCalls: [mailTo('mine')] })
    const { thread_id: threadId } = await alice.client.threads.create()
    await alice.client.runs.wait(threadId, 'react', { input: says('Mail.') })
    expect((await alice.record()).map(({ thread_id }) => thread_id)).toEqual([threadId])
    expect(await alice.exported()).toEqual(await alice.record())
    expect(await as('bob').record()).toEqual([])
    expect(await as('bob').record(`&thread_id=${threadId}`)).toEqual([])
    expect(await as('bob').exported()).toEqual([])
    expect((await as('admin').record()).map(({ thread_id }) => thread_id)).toEqual([threadId])
    expect(await stage.http('GET', '/audit')).toMatchObject({ status: 401 })
    await alice.client.threads.delete(threadId)
    expect(await alice.record()).toEqual([])
    expect(await as('admin').record()).toEqual([])
  })
})

onPostgres((database) => {
  const stage = useStage(database)

  async function verify(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const { databaseUrl = '', secret = '', dataDir } = database.place
    const env = {
      PATH: process.env['PATH'],
      DATABASE_URL: databaseUrl,
      HOLDPOINT_SECRET: secret,
      HOLDPOINT_DATA_DIR: dataDir,
    }
    return await new Promise((done) => {
      execFile(
        process.execPath,
        ['server/bin.ts', 'audit', 'verify', ...args],
        { env },
        (error, stdout, stderr) => done({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      )
    })
  }

  test('holdpoint audit verify walks the record of a server that goes on', async () => {
    stage.play({ toolCalls: [mailTo('verify')] })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail.') })
    expect(await verify()).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^ok: 18 chains, 19 entries, \d+ exported heads\n$/),
      stderr: '',
    })
    const answer = await verify('--heads', join(database.place.dataDir, 'nowhere.jsonl'))
    expect(answer).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^Cannot read .+\n$/) })
    expect((await verify('--port', '1')).code).toBe(2)
  })
})
