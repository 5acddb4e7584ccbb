import { expect, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { newId } from '../../runtime/ids.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { mailsAbout, mailTo, meeting, says, untilThread, useStage } from '../support/stage.ts'

onEachDatabase((database) => {
  const stage = useStage(database)

  test('two decisions sent at once: one 200, one 409, one mail', async () => {
    const { threadId, subject, hold } = await held()
    stage.model.play([{ content: 'Mailed.' }])
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => stage.decide(hold.approval_id, { type: 'approve' })),
    )
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200, 409, 409, 409, 409, 409,
    ])
    expect(answers.find(({ status }) => status === 409)?.text).toMatch(/already approved|decided meanwhile/)
    await untilThread(stage.client, threadId, 'idle')
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
    expect(await stage.client.runs.list(threadId)).toHaveLength(2)
  })

  test('an approval and a rejection at once: the one that was taken is the one that counts', async () => {
    const { threadId, subject, hold } = await held()
    stage.model.play([{ content: 'All right.' }])
    const answers = await Promise.all(
      ['approve', 'reject'].map((type) => stage.decide(hold.approval_id, { type })),
    )
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409])
    await untilThread(stage.client, threadId, 'idle')
    expect(await mailsAbout(subject, stage.mails)).toBe(answers[0]?.status === 200 ? 1 : 0)
  })

  test('a decision by /approvals and one by command.resume at once: one of them is taken', async () => {
    const { threadId, subject, hold } = await held()
    stage.model.play([{ content: 'Mailed.' }])
    const [decided, resumed] = await Promise.all([
      stage.decide(hold.approval_id, { type: 'approve' }),
      stage.http('POST', `/threads/${threadId}/runs`, {
        assistant_id: 'react',
        command: { resume: { [hold.interrupt_id]: { type: 'approve' } } },
      }),
    ])
    expect([decided.status, resumed.status].toSorted((a, b) => a - b)).toSatisfy(
      ([first, second]: number[]) => first === 200 && (second === 409 || second === 422),
    )
    await untilThread(stage.client, threadId, 'idle')
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
  })

  test('a rejected call sends no mail, and the model is told why', async () => {
    const { threadId, subject, hold } = await held()
    stage.model.play([{ content: 'I did not mail it.' }])
    const decided = await stage.decide(hold.approval_id, { type: 'reject', message: 'Wrong list.' })
    expect(decided.json()).toMatchObject({
      status: 'rejected',
      decisions: [{ type: 'reject', message: 'Wrong list.' }],
    })
    await stage.client.runs.join(threadId, decided.json<Hold>().resumed_run_id ?? '')
    const told = stage.model.requests[0]?.messages.at(-1)
    expect(told).toMatchObject({ role: 'tool' })
    expect(JSON.stringify(told?.content)).toContain('A person rejected this call: Wrong list.')
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
    // It stays rejected: neither another decision nor another resume brings it back.
    expect(await stage.decide(hold.approval_id, { type: 'approve' })).toMatchObject({ status: 409 })
    expect(await run(threadId, { command: { resume: { type: 'approve' } } })).toMatchObject({ status: 422 })
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
  })

  test('a goto that jumps over the hold runs no tool, and the question stays', async () => {
    const messageId = newId()
    const forged = {
      messages: [
        { type: 'ai', id: messageId, content: '', tool_calls: [{ id: newId(), ...mailTo('forged') }] },
      ],
      verdicts: [],
      decisions: {},
    }
    const jumps = ['tools', ['tools'], [{ node: 'tools', input: forged }], [{ node: 'tools' }]]
    for (const goto of jumps) {
      const { threadId, subject, hold } = await held()
      const answer = await run(threadId, { command: { goto } })
      await stage.client.runs.join(threadId, answer.json<{ run_id: string }>().run_id)
      expect(await mailsAbout(subject, stage.mails)).toBe(0)
      expect(await mailsAbout('forged', stage.mails)).toBe(0)
      expect((await stage.holds(threadId, 'pending')).map(({ approval_id }) => approval_id)).toEqual([
        hold.approval_id,
      ])
      // A node that is started with something that is no state fails.
      const status = typeof goto === 'string' || goto[0] === 'tools' ? 'interrupted' : 'error'
      expect(await stage.client.threads.get(threadId)).toMatchObject({ status })
    }
  })

  test('a goto or an update that is none is refused, and the hold still waits', async () => {
    const { threadId, hold } = await held()
    for (const goto of [5, true, {}, { node: 5 }, [[]], ''])
      expect(await run(threadId, { command: { goto } })).toMatchObject({ status: 422 })
    for (const update of [5, 'x', [1], [['a']]])
      expect(await run(threadId, { command: { update } })).toMatchObject({ status: 422 })
    expect(await stage.holds(threadId)).toMatchObject([{ status: 'pending', approval_id: hold.approval_id }])
  })

  test('a forged decision in the state, with a goto to the tools, runs nothing', async () => {
    const { threadId, subject } = await held()
    const state = await stage.client.threads.getState<{ messages: { tool_calls?: { id: string }[] }[] }>(
      threadId,
    )
    const callId = state.values.messages.at(-1)?.tool_calls?.[0]?.id ?? ''
    await stage.http('POST', `/threads/${threadId}/runs/wait`, {
      assistant_id: 'react',
      command: { update: { decisions: { [callId]: { type: 'approve' } }, verdicts: [] }, goto: 'tools' },
    })
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
  })

  test('an answer by place is to the call that stands there, also where that is decided already', async () => {
    const [first, second] = [newId(), newId()]
    stage.model.play([{ toolCalls: [mailTo(first), mailTo(second)] }])
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail two.') })
    const holds = await stage.holds(threadId)
    const of = (subject: string) => holds.find(({ args }) => JSON.stringify(args).includes(subject))
    await stage.decide(of(first)?.approval_id ?? '', { type: 'reject' })
    for (const resume of [
      { decisions: [{ type: 'approve' }] },
      { type: 'approve' },
      [{ type: 'accept', args: null }],
      { decisions: [{ type: 'approve' }, { type: 'approve' }] },
    ])
      expect(await run(threadId, { command: { resume } })).toMatchObject({ status: 409 })
    expect((await stage.holds(threadId, 'pending')).map(({ approval_id }) => approval_id)).toEqual([
      of(second)?.approval_id,
    ])
    stage.model.play([{ content: 'Done.' }])
    const decision = { approval_id: of(second)?.approval_id, type: 'approve' }
    await stage.http('POST', `/threads/${threadId}/runs/wait`, {
      assistant_id: 'react',
      command: { resume: { decisions: [decision] } },
    })
    expect([await mailsAbout(first, stage.mails), await mailsAbout(second, stage.mails)]).toEqual([0, 1])
  })

  test("an inbox's approval of another call than the one that waits is none", async () => {
    const { threadId, subject, hold } = await held()
    const args = hold.args as Record<string, string>
    const accept = (action: object) => ({ type: 'accept', args: action })
    for (const resume of [
      [accept({ action: 'send_email', args: { ...args, subject: 'another' } })],
      [accept({ action: 'other', args })],
      { decisions: [{ type: 'approve', args: { action: 'send_email', args: {} } }] },
    ])
      expect(await run(threadId, { command: { resume } })).toMatchObject({ status: 422 })
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
    stage.model.play([{ content: 'Mailed.' }])
    await stage.http('POST', `/threads/${threadId}/runs/wait`, {
      assistant_id: 'react',
      command: { resume: [accept({ action: 'send_email', args })] },
    })
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
  })

  test('an answer that names the checkpoint it was made at is to nothing later', async () => {
    const { threadId, subject: shown, hold } = await held()
    const { checkpoint } = await stage.client.threads.getState(threadId)
    stage.model.play([{ content: 'I did not.' }])
    const rejected = await stage.decide(hold.approval_id, { type: 'reject' })
    await stage.client.runs.join(threadId, rejected.json<Hold>().resumed_run_id ?? '')
    const unseen = newId()
    stage.model.play([{ toolCalls: [mailTo(unseen)] }])
    await stage.client.runs.wait(threadId, 'react', { input: says('Another.') })
    const command = { resume: { decisions: [{ type: 'approve' }] } }
    expect(await run(threadId, { command, checkpoint })).toMatchObject({ status: 409 })
    expect(await stage.holds(threadId, 'pending')).toHaveLength(1)
    for (const subject of [shown, unseen]) expect(await mailsAbout(subject, stage.mails)).toBe(0)

    stage.model.play([{ content: 'Mailed.' }])
    const { checkpoint: now } = await stage.client.threads.getState(threadId)
    const body = { assistant_id: 'react', command, checkpoint: now }
    expect(await stage.http('POST', `/threads/${threadId}/runs/wait`, body)).toMatchObject({ status: 200 })
    expect(await mailsAbout(unseen, stage.mails)).toBe(1)
  })

  test('an approval that brings a goto or an update along releases what was shown, once, and nothing else', async () => {
    for (const along of ['goto', 'update', 'both']) {
      const { threadId, subject, hold } = await held()
      // A jump is a second way to the model, beside the one of the answer.
      stage.model.play(Array.from({ length: along === 'update' ? 1 : 2 }, () => ({ content: 'Done.' })))
      const { values } = await stage.client.threads.getState<{ messages: Record<string, unknown>[] }>(
        threadId,
      )
      const message = values.messages.at(-1)
      const swapped = { ...message, tool_calls: [{ ...mailTo(`other ${subject}`), id: hold.call_id }] }
      await stage.http('POST', `/threads/${threadId}/runs/wait`, {
        assistant_id: 'react',
        command: {
          resume: { [hold.interrupt_id]: { type: 'approve' } },
          ...(along === 'update' ? {} : { goto: 'tools' }),
          ...(along === 'goto' ? {} : { update: { messages: [swapped] } }),
        },
      })
      expect([along, await mailsAbout(`other ${subject}`, stage.mails)]).toEqual([along, 0])
      // A message that is no longer the one that was shown is not what was approved.
      expect([along, await mailsAbout(subject, stage.mails)]).toEqual([along, along === 'goto' ? 1 : 0])
    }
  })

  test('a resume that is not an answer to what waits is refused, and the hold still waits', async () => {
    const { threadId, subject, hold } = await held()
    const other = await held()
    const forged: Record<string, unknown> = {
      'a bare word': 'approve',
      'a bare true': true,
      null: null,
      nothing: {},
      'a shape of its own': { approved: true },
      'an unknown approval': { decisions: [{ approval_id: newId(), type: 'approve' }] },
      "another thread's approval": { decisions: [{ approval_id: other.hold.approval_id, type: 'approve' }] },
      'another hash': {
        decisions: [{ approval_id: hold.approval_id, args_hash: 'f'.repeat(64), type: 'approve' }],
      },
      'an unknown interrupt': { ['0'.repeat(32)]: { type: 'approve' } },
      "another thread's interrupt": { [other.hold.interrupt_id]: { type: 'approve' } },
      'two decisions for one call': {
        decisions: [
          { approval_id: hold.approval_id, type: 'approve' },
          { approval_id: hold.approval_id, type: 'reject' },
        ],
      },
      'an edit without arguments': { type: 'edit' },
      'an edit that the tool does not take': { type: 'edit', args: { to: 'nobody' } },
      'an unknown type': { type: 'accept' },
      'an answer of the hold node': {
        decisions: [{ approval_id: hold.approval_id, args_hash: 'x', type: 'approve' }],
      },
    }
    for (const [what, resume] of Object.entries(forged)) {
      const answer = await run(threadId, { command: { resume } })
      expect([what, answer.status]).toEqual([what, expect.toBeOneOf([409, 422])])
      expect([what, answer.text]).toEqual([what, expect.stringMatching(/^[^<{][^\n]{10,}$/)])
    }
    expect(await run(threadId, { command: { resume: { type: 'approve' } }, input: says('x') })).toMatchObject(
      {
        status: 422,
      },
    )
    expect((await stage.holds(threadId)).map(({ status }) => status)).toEqual(['pending'])
    expect(await stage.client.runs.list(threadId)).toHaveLength(1)
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
    expect(await mailsAbout(other.subject, stage.mails)).toBe(0)
  })

  test('a resume on a thread where nothing waits is refused', async () => {
    const threadId = await stage.thread()
    for (const resume of ['yes', { type: 'approve' }, {}, { ['a'.repeat(32)]: 1 }]) {
      const answer = await run(threadId, { command: { resume } })
      expect(answer).toMatchObject({ status: 422 })
    }
    expect(await stage.client.runs.list(threadId)).toEqual([])
    expect(await run(newId(), { command: { resume: 'yes' } })).toMatchObject({ status: 404 })
  })

  test('a bare value with two interrupts waiting answers neither', async () => {
    const subjects = [newId(), newId()]
    const together = meeting(2)
    const both = (index: number) => ({
      match: (request: { messages: { content?: unknown }[] }) =>
        JSON.stringify(request.messages).includes(`Your step: mail ${index}`),
      answer: async () => {
        await together()
        return { toolCalls: [mailTo(subjects[index] ?? '')] }
      },
    })
    const steps = [0, 1].map((n) => ({ id: `s${n}`, goal: `mail ${n}`, tools: [], depends_on: [] }))
    stage.play({ json: { steps } }, both(0), both(1))
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'plan_and_solve', { input: says('Mail two.') })
    expect(await stage.holds(threadId, 'pending')).toHaveLength(2)
    for (const resume of [
      'yes',
      { type: 'approve' },
      { decisions: [{ type: 'approve' }, { type: 'approve' }] },
    ]) {
      const answer = await stage.http('POST', `/threads/${threadId}/runs`, {
        assistant_id: 'plan_and_solve',
        command: { resume },
      })
      expect(answer).toMatchObject({ status: 422 })
      expect(answer.text).toContain('2 interrupts wait in this thread')
    }
    expect(await stage.holds(threadId, 'pending')).toHaveLength(2)
    for (const subject of subjects) expect(await mailsAbout(subject, stage.mails)).toBe(0)
  })

  test('some of the calls of a message cannot be released by a resume that leaves others open', async () => {
    const subjects = [newId(), newId()]
    stage.play({ toolCalls: subjects.map((subject) => mailTo(subject)) })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail two.') })
    const answer = await run(threadId, { command: { resume: { decisions: [{ type: 'approve' }] } } })
    expect(answer).toMatchObject({ status: 422 })
    expect(answer.text).toContain('leaves 1 of 2 calls undecided')
    // Nothing of the refused answer stays.
    expect((await stage.holds(threadId)).map(({ status }) => status)).toEqual(['pending', 'pending'])
  })

  test('a fork to before the hold asks again, and the first approval releases nothing of it', async () => {
    const { threadId, subject, hold } = await held()
    stage.model.play([{ content: 'Mailed.' }])
    const decided = await stage.decide(hold.approval_id, { type: 'approve' })
    await stage.client.runs.join(threadId, decided.json<Hold>().resumed_run_id ?? '')
    expect(await mailsAbout(subject, stage.mails)).toBe(1)

    const history = await stage.client.threads.getHistory(threadId, { limit: 50 })
    const before = history.find(({ next }) => next.includes('hold'))
    await stage.client.runs.wait(threadId, 'react', { checkpointId: before?.checkpoint.checkpoint_id ?? '' })
    expect((await stage.http('GET', `/approvals/${hold.approval_id}`)).json()).toMatchObject({
      status: 'pending',
    })
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'interrupted' })

    stage.model.play([{ content: 'Not again.' }])
    const again = await stage.decide(hold.approval_id, { type: 'reject' })
    await stage.client.runs.join(threadId, again.json<Hold>().resumed_run_id ?? '')
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
  })

  test('a fork to after the hold runs the call no second time', async () => {
    const { threadId, subject, hold } = await held()
    stage.model.play([{ content: 'Mailed.' }])
    const decided = await stage.decide(hold.approval_id, { type: 'approve' })
    await stage.client.runs.join(threadId, decided.json<Hold>().resumed_run_id ?? '')
    const history = await stage.client.threads.getHistory(threadId, { limit: 50 })
    const after = history.find(({ next }) => next.includes('tools'))
    stage.model.play([{ content: 'Mailed before.' }])
    await stage.client.runs.wait(threadId, 'react', { checkpointId: after?.checkpoint.checkpoint_id ?? '' })
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
  })

  test('an approval that was not used when new input came instead is withdrawn', async () => {
    const subject = `withdrawn-${database.embedded}`
    stage.play({ toolCalls: [mailTo(subject)] })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail.'), interruptBefore: ['tools'] })
    const [hold] = await stage.holds(threadId)
    const id = hold?.approval_id ?? ''
    const decided = await stage.decide(id, { type: 'approve' })
    await stage.client.runs.join(threadId, decided.json<Hold>().resumed_run_id ?? '')
    const history = await stage.client.threads.getHistory(threadId, { limit: 50 })
    const approved = history.find(({ next }) => next.includes('tools'))

    stage.model.play([{ content: 'I do not.' }])
    await stage.client.runs.wait(threadId, 'react', {
      input: says('Stop, do not send it.'),
      multitaskStrategy: 'interrupt',
    })
    expect((await stage.http('GET', `/approvals/${id}`)).json()).toMatchObject({ status: 'cancelled' })
    const audit = (await stage.http('GET', `/audit?thread_id=${threadId}`)).json<
      { kind: string; data: object }[]
    >()
    for (const kind of ['hold.cancelled', 'grant.revoked'])
      expect(audit.find((entry) => entry.kind === kind)?.data).toMatchObject({ cause: 'new_input' })

    stage.model.play([{ content: 'It was not sent.' }])
    await stage.client.runs.wait(threadId, 'react', {
      checkpointId: approved?.checkpoint.checkpoint_id ?? '',
    })
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
    expect(JSON.stringify(stage.model.requests.at(-1)?.messages.at(-1))).toContain('and has none')
  })

  test('new input takes back no approval whose call has run', async () => {
    const { threadId, subject, hold } = await held()
    stage.model.play([{ content: 'Mailed.' }])
    const decided = await stage.decide(hold.approval_id, { type: 'approve' })
    await stage.client.runs.join(threadId, decided.json<Hold>().resumed_run_id ?? '')
    stage.model.play([{ content: 'You are welcome.' }])
    await stage.client.runs.wait(threadId, 'react', {
      input: says('Thanks.'),
      multitaskStrategy: 'interrupt',
    })
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
    expect((await stage.http('GET', `/approvals/${hold.approval_id}`)).json()).toMatchObject({
      status: 'approved',
    })
  })

  test('deleting a thread cancels its holds: they can be decided no more', async () => {
    const { threadId, subject, hold } = await held()
    expect(await stage.http('DELETE', `/threads/${threadId}`)).toMatchObject({ status: 204 })
    expect((await stage.http('GET', `/approvals/${hold.approval_id}`)).json()).toMatchObject({
      status: 'cancelled',
    })
    expect(await stage.decide(hold.approval_id, { type: 'approve' })).toMatchObject({ status: 409 })
    expect(await stage.http('GET', `/threads/${threadId}/state`)).toMatchObject({ status: 404 })
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
  })

  test('the hold that a stream has just announced is there when it is asked for', async () => {
    const subject = newId()
    stage.play({ toolCalls: [mailTo(subject)] })
    const threadId = await stage.thread()
    const statuses: number[] = []
    for await (const { event, data } of stage.client.runs.stream(threadId, 'react', {
      input: says('Mail.'),
      streamMode: 'custom',
    })) {
      const hold = data as { type?: string; approval_id?: string }
      if (event === 'custom' && hold.type === 'hold')
        statuses.push((await stage.http('GET', `/approvals/${hold.approval_id}`)).status)
    }
    expect(statuses).toEqual([200])
  })

  test('lists of approvals have filters and the headers of pages', async () => {
    const first = await held()
    const second = await held()
    const page = await stage.http('GET', '/approvals?status=pending&limit=1')
    expect(page.json<Hold[]>()).toMatchObject([{ approval_id: second.hold.approval_id }])
    const total = Number(page.headers.get('x-pagination-total'))
    expect(total).toBeGreaterThanOrEqual(2)
    expect(page.headers.get('x-pagination-next')).toBe('1')
    const own = await stage.http('GET', `/approvals?thread_id=${first.threadId}&tool=send_email`)
    expect(own.json<Hold[]>()).toMatchObject([{ approval_id: first.hold.approval_id }])
    expect(own.headers.get('x-pagination-total')).toBe('1')
    expect(own.headers.get('x-pagination-next')).toBeNull()
    expect((await stage.http('GET', '/approvals?tool=other')).json()).toEqual([])
  })

  /** A thread whose agent waits for the approval of one mail. */
  async function held(): Promise<{ threadId: string; subject: string; hold: Hold }> {
    const subject = newId()
    stage.model.play([{ toolCalls: [mailTo(subject)] }])
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail it.') })
    const [hold] = await stage.holds(threadId)
    if (hold === undefined) throw new Error('Nothing is held.')
    return { threadId, subject, hold }
  }

  function run(threadId: string, body: object) {
    return stage.http('POST', `/threads/${threadId}/runs`, { assistant_id: 'react', ...body })
  }
})
