import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { newId } from '../../runtime/ids.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { type Answer, mailsAbout, mailTo, says, useStage } from '../support/stage.ts'

const MISSING = '01a1fb51-0000-7000-8000-000000000000'
const REACT = { assistant_id: 'react' }

onEachDatabase((database) => {
  const stage = useStage(database)
  let threadId = ''
  let subject = ''
  let hold: Hold | undefined
  beforeAll(async () => {
    subject = newId()
    stage.play({ toolCalls: [mailTo(subject)] })
    threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail it.') })
    hold = (await stage.holds(threadId))[0]
  })
  // Whatever the tests below sent, nothing came of it.
  afterAll(async () => {
    expect(await stage.holds(threadId)).toEqual([hold])
    expect(await stage.client.runs.list(threadId)).toHaveLength(1)
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
  })

  test('a body that is no JSON is a 400 that says so', async () => {
    for (const body of ['{', '{"a":}', 'x', '{"a":1}}', '\u0000', '{"assistant_id":"react",}'])
      for (const path of ['/threads', '/threads/search', `/threads/${threadId}/runs`, '/assistants/search'])
        expectPlain(await stage.http('POST', path, body), 400, /not valid JSON/)
    expectPlain(await stage.http('POST', `/threads/${threadId}/runs`, ''), 400, /body is missing/)
  })

  test('wrong types and values are a 422 that names the place', async () => {
    const runs = `/threads/${threadId}/runs`
    const wrong: [string, unknown, RegExp][] = [
      [runs, {}, /body\.assistant_id/],
      [runs, [], /body/],
      [runs, null, /body/],
      [runs, '"react"', /body/],
      [runs, { ...REACT, stream_mode: 'everything' }, /body\.stream_mode/],
      [runs, { ...REACT, multitask_strategy: 'maybe' }, /body\.multitask_strategy/],
      [runs, { ...REACT, after_seconds: -1 }, /body\.after_seconds/],
      [runs, { ...REACT, metadata: [] }, /body\.metadata/],
      [runs, { ...REACT, config: { recursion_limit: 0 } }, /body\.config\.recursion_limit/],
      [runs, { ...REACT, durability: 'never' }, /body\.durability/],
      [runs, { ...REACT, command: 'approve' }, /body\.command/],
      [runs, { ...REACT, command: { goto: 7 } }, /body\.command\.goto/],
      [runs, { ...REACT, input: says('x'), command: { resume: 1 } }, /not both/],
      ['/threads', { metadata: 'x' }, /body\.metadata/],
      ['/threads', { thread_id: 7 }, /body\.thread_id/],
      ['/threads/search', { limit: 0 }, /body\.limit/],
      ['/threads/search', { limit: 1e9 }, /body\.limit/],
      ['/threads/search', { offset: -1 }, /body\.offset/],
      ['/threads/search', { sort_by: 'thread_id; drop table threads' }, /body\.sort_by/],
      ['/threads/search', { status: 'sleeping' }, /body\.status/],
      [`/threads/${threadId}/history`, { limit: 'many' }, /body\.limit/],
      [`/approvals/${hold?.approval_id}/decisions`, { type: 'accept' }, /body\.type/],
      [`/approvals/${hold?.approval_id}/decisions`, { type: 'approve', force: true }, /force/],
      [`/approvals/${hold?.approval_id}/decisions`, { type: 'edit', args: 'x' }, /body\.args/],
    ]
    for (const [path, body, reason] of wrong) expectPlain(await stage.http('POST', path, body), 422, reason)
    for (const path of [
      `${runs}?limit=0`,
      `${runs}?limit=x`,
      `${runs}?status=busy`,
      '/approvals?limit=-1',
      '/approvals?status=open',
      '/approvals?thread_id=x',
      `/threads/${threadId}/state?subgraphs=maybe`,
      '/assistants/react/graph?xray=deep',
      '/ok?check_db=yes',
    ])
      expectPlain(await stage.http('GET', path), 422, /^query\./)
  })

  test('ids that are no UUID are a 422', async () => {
    for (const id of ['1', 'abc', 'null', `${threadId}x`, '%00', `${threadId}%00`, "' or 1=1 --"]) {
      for (const path of [
        `/threads/${id}`,
        `/threads/${id}/state`,
        `/threads/${id}/runs`,
        `/threads/${id}/files`,
        `/threads/${threadId}/runs/${id}`,
        `/threads/${threadId}/runs/${id}/join`,
        `/approvals/${id}`,
      ]) {
        const answer = await stage.http('GET', path)
        expect([path, answer.status]).toEqual([path, 422])
      }
    }
  })

  test('ids of nothing are a 404', async () => {
    const there = `/threads/${threadId}`
    const missing = `/threads/${MISSING}`
    const asked: [string, string, unknown?][] = [
      ['GET', missing],
      ['PATCH', missing, { metadata: {} }],
      ['DELETE', missing],
      ['GET', `${missing}/state`],
      ['GET', `${missing}/history`],
      ['POST', `${missing}/history`, {}],
      ['POST', `${missing}/state/checkpoint`, { checkpoint: { checkpoint_id: MISSING } }],
      ['GET', `${missing}/runs`],
      ['POST', `${missing}/runs`, { ...REACT, input: says('x') }],
      ['POST', `${missing}/runs/stream`, { ...REACT, input: says('x') }],
      ['POST', `${missing}/runs/wait`, { ...REACT, input: says('x') }],
      ['GET', `${missing}/files`],
      ['GET', `${missing}/files/a`],
      ['PUT', `${missing}/files/a`, 'x'],
      ['DELETE', `${missing}/files/a`],
      ['GET', `${there}/files/missing`],
      ['DELETE', `${there}/files/missing`],
      ['GET', `${there}/state/${MISSING}`],
      ['GET', `${there}/runs/${MISSING}`],
      ['GET', `${there}/runs/${MISSING}/join`],
      ['GET', `${there}/runs/${MISSING}/stream`],
      ['POST', `${there}/runs/${MISSING}/cancel`],
      ['DELETE', `${there}/runs/${MISSING}`],
      ['GET', `/assistants/${MISSING}`],
      ['GET', '/assistants/missing/schemas'],
      ['GET', '/assistants/missing/graph'],
      ['POST', `/approvals/${MISSING}/decisions`, { type: 'approve' }],
      ['GET', '/nowhere'],
    ]
    for (const [method, path, body] of asked) {
      const answer = await stage.http(method, path, body)
      expect([method, path, answer.status]).toEqual([method, path, 404])
      expect(answer.text).toMatch(/^\S[^\n]+$/)
    }
  })

  test('an unknown graph or assistant is a 404, and no run is made', async () => {
    for (const assistant_id of ['unknown', MISSING, '../react', '\u0000'])
      for (const path of ['runs', 'runs/stream', 'runs/wait'])
        expectPlain(
          await stage.http('POST', `/threads/${threadId}/${path}`, { assistant_id, input: says('x') }),
          404,
          /Assistant not found/,
        )
  })

  test("a run of another thread is not there, whatever thread's path it is asked under", async () => {
    const [run] = await stage.client.runs.list(threadId)
    const other = await stage.thread()
    expect(await stage.http('GET', `/threads/${other}/runs/${run?.run_id}`)).toMatchObject({ status: 404 })
    expect(await stage.http('DELETE', `/threads/${other}/runs/${run?.run_id}`)).toMatchObject({ status: 404 })
    expect(await stage.http('GET', `/threads/${threadId}/runs/${run?.run_id}`)).toMatchObject({ status: 200 })
  })

  test('a thread id that is taken is a 409', async () => {
    expectPlain(await stage.http('POST', '/threads', { thread_id: threadId }), 409, /already exists/)
    const answer = await stage.http('POST', '/threads', { thread_id: threadId, if_exists: 'do_nothing' })
    expect(answer.json()).toMatchObject({ thread_id: threadId, status: 'interrupted' })
  })

  test('a body over 4 MB is a 413, told or not, and files may have more', async () => {
    const big = 'x'.repeat(4 * 1024 * 1024)
    const body = JSON.stringify({ ...REACT, input: { messages: [{ role: 'user', content: big }] } })
    expectPlain(await stage.http('POST', `/threads/${threadId}/runs`, body), 413, /larger than 4 MB/)
    expectPlain(await stage.http('POST', '/threads', JSON.stringify({ metadata: { big } })), 413, /4 MB/)
    const streamed = await fetch(`${stage.url}/threads`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: spaces(5 * 1024 * 1024),
      duplex: 'half',
    } as RequestInit)
    expect(streamed.status).toBe(413)
    expect(await stage.http('PUT', `/threads/${threadId}/files/big`, `${big}x`)).toMatchObject({
      status: 200,
    })
    expect(await stage.http('PUT', `/threads/${threadId}/files/bigger`, big.repeat(4) + big)).toMatchObject({
      status: 413,
    })
    expect(await stage.http('GET', `/threads/${threadId}/files/bigger`)).toMatchObject({ status: 404 })
  })

  test('JSON that is nested too deep is a 422', async () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      const deep = `${open.repeat(100_000)}1${close.repeat(100_000)}`
      expectPlain(await stage.http('POST', '/threads', `{"metadata":{"a":${deep}}}`), 422, /levels deep/)
      expectPlain(
        await stage.http('POST', `/threads/${threadId}/runs`, `{"input":${deep}}`),
        422,
        /levels deep/,
      )
    }
  })

  test('NUL and lone surrogates in metadata, names and filters are stored or refused, never a failure', async () => {
    const odd = { '\u0000': '\u0000', lone: '\ud800', pair: '\ude00\ud83d' }
    const created = await stage.http('POST', '/threads', { metadata: odd })
    expect(created).toMatchObject({ status: 200 })
    const { thread_id } = created.json<{ thread_id: string }>()
    const found = await stage.http('POST', '/threads/search', { metadata: odd })
    expect(found.json()).toMatchObject([{ thread_id }])
    const checked: [string, string, unknown?][] = [
      ['PATCH', `/threads/${thread_id}`, { metadata: odd }],
      ['POST', '/threads/search', { values: odd }],
      ['POST', '/assistants/search', { name: '\u0000' }],
      ['POST', '/assistants/search', { graph_id: '\ud800\u0000' }],
      ['POST', '/assistants/search', { metadata: odd }],
      ['GET', '/assistants/%00'],
      ['GET', '/approvals?tool=%00'],
      ['GET', '/approvals?tool=%ed%a0%80'],
      ['GET', `/threads/${threadId}/state/%00`],
      ['GET', `/threads/${threadId}/history?before=%00`],
      ['POST', `/threads/${threadId}/history`, { before: '\u0000', metadata: odd }],
      ['POST', `/threads/${threadId}/history`, { checkpoint: { checkpoint_ns: '\u0000' } }],
      ['POST', `/threads/${threadId}/state/checkpoint`, { checkpoint: { checkpoint_id: '\u0000' } }],
      ['POST', `/threads/${threadId}/state/checkpoint`, { checkpoint: { checkpoint_ns: 'a\u0000' } }],
      ['PUT', `/threads/${thread_id}/files/%00`, 'x'],
      ['PUT', `/threads/${thread_id}/files/a%00b`, 'x'],
      ['GET', `/threads/${thread_id}/files/%ed%a0%80`],
    ]
    for (const [method, path, body] of checked) {
      const answer = await stage.http(method, path, body)
      expect([method, path, answer.status, answer.text]).toEqual([
        method,
        path,
        expect.toSatisfy((status: number) => status < 500),
        expect.not.stringContaining('Internal error'),
      ])
    }
    stage.play({ content: 'a\u0000b\ud800' })
    const run = await stage.http('POST', `/threads/${thread_id}/runs/wait`, {
      ...REACT,
      input: says('a\u0000b\ud800'),
      metadata: odd,
      config: { configurable: { odd }, tags: ['\u0000'] },
      context: odd,
    })
    expect(run.json()).not.toHaveProperty('__error__')
    expect(run.text).toContain('a\\u0000b')
    expect(await stage.http('GET', `/threads/${thread_id}`)).toMatchObject({ status: 200 })
    const history = await stage.http('POST', `/threads/${thread_id}/history`, {
      metadata: { lone: '\ud800' },
    })
    expect(history).toMatchObject({ status: 200 })
  })

  test('an edit that the tool refuses is a 422, and the approval still waits', async () => {
    const { args } = mailTo(subject)
    for (const edited of [
      {},
      { ...args, to: 'nobody' },
      { ...args, subject: '' },
      { ...args, subject: 'a\r\nBcc: x@example.com' },
      { ...args, bcc: 'x@example.com' },
      { ...args, body: '\ud800' },
      { ...args, to: Array.from({ length: 21 }, (_, n) => `a${n}@example.com`) },
    ]) {
      const answer = await stage.decide(hold?.approval_id ?? '', { type: 'edit', args: edited })
      expectPlain(answer, 422, /send_email does not take these arguments: .*The approval still waits/)
    }
    for (const [decision, reason] of [
      [{ type: 'edit' }, /needs "args"/],
      [{ type: 'respond' }, /needs a "message"/],
      [{ type: 'approve', args }, /go with an edit only/],
      [{ type: 'reject', message: 'x'.repeat(20_001) }, /body\.message/],
    ] as const)
      expectPlain(await stage.decide(hold?.approval_id ?? '', decision), 422, reason)
  })

  test('a decision that is not application/json is a 415, whatever it says', async () => {
    const path = `/approvals/${hold?.approval_id}/decisions`
    const body = JSON.stringify({ type: 'approve' })
    for (const type of [
      'text/plain',
      'text/plain;charset=UTF-8',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonp',
      'text/json',
    ])
      expectPlain(await stage.http('POST', path, body, { 'content-type': type }), 415, /application\/json/)
  })

  test('a decided approval is a 409 for every further decision', async () => {
    const other = newId()
    stage.play({ toolCalls: [mailTo(other)] }, { content: 'All right.' })
    const own = await stage.thread()
    await stage.client.runs.wait(own, 'react', { input: says('Mail.') })
    const [decided] = await stage.holds(own)
    const answer = await stage.decide(decided?.approval_id ?? '', { type: 'reject' })
    await stage.client.runs.join(own, answer.json<Hold>().resumed_run_id ?? '')
    for (const decision of [
      { type: 'approve' },
      { type: 'reject' },
      { type: 'respond', message: 'x' },
      { type: 'edit', args: mailTo(other).args },
    ])
      expectPlain(await stage.decide(decided?.approval_id ?? '', decision), 409, /already rejected/)
    expect(await mailsAbout(other, stage.mails)).toBe(0)
  })

  test('a checkpoint that does not exist is refused, and no fork of it runs', async () => {
    const own = await stage.thread()
    stage.play({ content: 'Here.' })
    await stage.client.runs.wait(own, 'react', { input: says('x') })
    const before = await stage.client.threads.getState(own)
    const answer = await stage.http('POST', `/threads/${own}/runs/wait`, { ...REACT, checkpoint_id: MISSING })
    expect(answer.status < 500).toBe(true)
    expect((await stage.client.threads.getState(own)).values).toEqual(before.values)
  })

  test('a client may not set what says where and as whom a run runs', async () => {
    const own = await stage.thread()
    stage.play({ content: 'Here.' })
    await stage.http('POST', `/threads/${own}/runs/wait`, {
      ...REACT,
      input: says('x'),
      config: {
        configurable: {
          thread_id: threadId,
          checkpoint_ns: 'step:1',
          run_id: MISSING,
          __pregel_checkpointer: null,
          __pregel_resume_map: {},
        },
      },
    })
    const state = await stage.client.threads.getState<{ messages: unknown[] }>(own)
    expect(state.values.messages).toHaveLength(2)
    expect(state.checkpoint).toMatchObject({ thread_id: own, checkpoint_ns: '' })
  })

  /** Errors are a status and one line of plain text, which the official SDK shows as it is. */
  function expectPlain(answer: Answer, status: number, text: RegExp): void {
    expect([answer.status, answer.text]).toEqual([status, expect.stringMatching(text)])
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain/)
    expect(answer.text).not.toMatch(/\n|node_modules|at \w+ \(/)
  }
})

/** A body that does not say how long it will be. */
function spaces(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(Math.min(left, 64 * 1024)).fill(0x20))
      left -= 64 * 1024
      if (left <= 0) controller.close()
    },
  })
}
