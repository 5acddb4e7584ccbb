import { expect, test } from 'vitest'
import type { Hold } from '../../../runtime/hold.ts'
import { newId } from '../../../runtime/ids.ts'
import type { ChatRequest } from '../../../models/chat-protocol/request.ts'
import { textOf } from '../../../models/chat-protocol/request.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import { mailsAbout, mailTo, says, untilRun, useStage } from '../../support/stage.ts'

interface Message {
  id: string
  type: string
  content: string
  tool_calls?: { id: string; name: string; args: Record<string, unknown> }[]
  tool_call_id?: string
  status?: string
}

interface Values {
  messages: Message[]
  end_reason: string | null
}

onBothDatabases((database) => {
  const stage = useStage(database)

  test('a run streams its steps, stops at a hold, goes on when it is approved, and mails once', async () => {
    const subject = newId()
    stage.play({ content: 'I will mail it.', toolCalls: [mailTo(subject)] }, { content: 'Mailed.' })
    const threadId = await stage.thread()
    const events = await Array.fromAsync(
      stage.client.runs.stream(threadId, 'react', {
        input: says('Mail it.'),
        streamMode: ['custom', 'updates', 'values', 'messages-tuple'],
      }),
    )
    expect(events[0]).toMatchObject({ event: 'metadata', data: { attempt: 1 } })
    expect(events.map((event) => (event as { id?: string }).id)).toEqual(
      events.map((_, index) => String(index)),
    )
    const kinds = new Set(events.map(({ event }) => event))
    expect([...kinds].toSorted()).toEqual(['custom', 'messages', 'metadata', 'updates', 'values'])
    const text = events
      .filter(({ event }) => event === 'messages')
      .map(({ data }) => (data as Message[])[0]?.content)
    expect(text.join('')).toContain('I will mail it.')

    const [hold] = await stage.holds(threadId)
    const announced = events.findIndex(
      ({ event, data }) => event === 'custom' && (data as Custom).type === 'hold',
    )
    expect(events[announced]?.data).toEqual({
      type: 'hold',
      approval_id: hold?.approval_id,
      tool: 'send_email',
    })
    const paused = events.findIndex(
      ({ event, data }) => event === 'updates' && '__interrupt__' in (data as object),
    )
    expect(paused).toBeGreaterThan(announced)
    expect(hold).toMatchObject({
      status: 'pending',
      tool: 'send_email',
      risk: 'medium',
      args: mailTo(subject).args,
    })
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'interrupted' })
    expect(await mailsAbout(subject, stage.mails)).toBe(0)

    const decided = await stage.decide(hold?.approval_id ?? '', { type: 'approve' })
    expect(decided.status).toBe(200)
    const runId = decided.json<Hold>().resumed_run_id ?? ''
    const rest = await Array.fromAsync(stage.client.runs.joinStream(threadId, runId, { lastEventId: '-1' }))
    const steps = rest.filter(({ event }) => event === 'custom').map(({ data }) => (data as Custom).type)
    expect(steps).toEqual(['tool_start', 'tool_done'])
    expect(rest.at(-1)).toMatchObject({ event: 'values', data: { end_reason: 'completed' } })
    expect(await mailsAbout(subject, stage.mails)).toBe(1)

    const state = await stage.client.threads.getState<Values>(threadId)
    expect(state.next).toEqual([])
    expect(state.values.messages.map(({ type }) => type)).toEqual(['human', 'ai', 'tool', 'ai'])
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'idle', interrupts: {} })
    const history = await stage.client.threads.getHistory<Values>(threadId, { limit: 50 })
    expect(history[0]?.values).toEqual(state.values)
    expect(history.at(-1)?.metadata?.['source']).toBe('input')
    // Newest first, each the parent of the one before.
    for (const [index, { parent_checkpoint }] of history.slice(0, -1).entries())
      expect(parent_checkpoint?.checkpoint_id).toBe(history[index + 1]?.checkpoint.checkpoint_id)
  })

  test("the official SDK's command.resume releases the same hold", async () => {
    const subject = newId()
    stage.play({ toolCalls: [mailTo(subject)] }, { content: 'Mailed.' })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail it.') })
    const thread = await stage.client.threads.get(threadId)
    const [interrupts] = Object.values(thread.interrupts)
    const resume = { decisions: [{ type: 'approve' }] }
    const events = await Array.fromAsync(
      stage.client.runs.stream(threadId, 'react', {
        command: { resume: { [interrupts?.[0]?.id ?? '']: resume } },
        streamMode: 'updates',
      }),
    )
    expect(events.flatMap(({ data }) => Object.keys(data as object))).toEqual(
      expect.arrayContaining(['hold', 'tools', 'model']),
    )
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
    expect(await stage.holds(threadId)).toMatchObject([
      { status: 'approved', decisions: [{ type: 'approve' }] },
    ])
    // Answered once more, it is refused, and nothing runs again.
    await expect(stage.client.runs.wait(threadId, 'react', { command: { resume } })).rejects.toThrow(
      /HTTP 422: Nothing waits/,
    )
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
  })

  test('three held calls of one message, decided differently: the run goes on after the last, each call has its own answer', async () => {
    const [one, two, three] = [newId(), newId(), newId()]
    let asked: ChatRequest | undefined
    stage.play({ toolCalls: [mailTo(one), mailTo(two), mailTo(three)] }, (request) => {
      asked = request
      return { content: 'Two of three.' }
    })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail three.') })
    const holds = await stage.holds(threadId)
    expect(holds.map(({ args }) => (args as { subject: string }).subject)).toEqual([one, two, three])
    expect(new Set(holds.map(({ interrupt_id }) => interrupt_id)).size).toBe(1)
    const [first, second, third] = holds.map(({ approval_id }) => approval_id)

    const edited = { ...mailTo(two).args, to: ['a@example.com', 'b@example.com'], subject: `${two} edited` }
    expect(
      (await stage.decide(third ?? '', { type: 'reject', message: 'Not this one.' })).json(),
    ).toMatchObject({
      resumed_run_id: null,
    })
    expect((await stage.decide(first ?? '', { type: 'approve' })).json()).toMatchObject({
      resumed_run_id: null,
    })
    expect(await stage.client.runs.list(threadId)).toHaveLength(1)
    expect(await mailsAbout(one, stage.mails)).toBe(0)
    const last = await stage.decide(second ?? '', { type: 'edit', args: edited })
    await stage.client.runs.join(threadId, last.json<Hold>().resumed_run_id ?? '')

    expect(await mailsAbout(one, stage.mails)).toBe(1)
    expect(await mailsAbout(three, stage.mails)).toBe(0)
    const editedMails = (await stage.mails()).filter((mail) => mail.includes(two))
    expect(editedMails).toHaveLength(1)
    expect(editedMails[0]).toContain(`Subject: ${two} edited`)
    expect(editedMails[0]).toMatch(/To: .*a@example\.com.*b@example\.com/)

    const { messages } = (await stage.client.threads.getState<Values>(threadId)).values
    const calls = messages.find(({ tool_calls }) => tool_calls?.length === 3)?.tool_calls ?? []
    const answers = messages.filter(({ type }) => type === 'tool')
    expect(answers.map(({ tool_call_id }) => tool_call_id)).toEqual(calls.map(({ id }) => id))
    expect(answers.map(({ status }) => status)).toEqual(['success', 'success', 'error'])
    const told = (asked?.messages ?? []).filter(({ role }) => role === 'tool').map(textOf)
    expect(told).toHaveLength(3)
    expect(told[2]).toContain('A person rejected this call: Not this one.')
    expect((await stage.holds(threadId)).map(({ status }) => status)).toEqual([
      'approved',
      'edited',
      'rejected',
    ])
  })

  test('a resume without ids decides the calls in the order in which they are listed', async () => {
    const subjects = Array.from({ length: 5 }, () => newId())
    stage.play({ toolCalls: subjects.map((subject) => mailTo(subject)) }, { content: 'Done.' })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail five.') })
    const types = ['approve', 'reject', 'reject', 'approve', 'reject']
    await stage.client.runs.wait(threadId, 'react', {
      command: { resume: { decisions: types.map((type) => ({ type })) } },
    })
    const sent = await Promise.all(subjects.map((subject) => mailsAbout(subject, stage.mails)))
    expect(sent).toEqual([1, 0, 0, 1, 0])
  })

  test("a response gives the person's words as the tool's result, and runs nothing", async () => {
    const subject = newId()
    let told = ''
    stage.play({ toolCalls: [mailTo(subject)] }, (request) => {
      const last = request.messages.at(-1)
      told = last ? textOf(last) : ''
      return { content: 'All right.' }
    })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail it.') })
    const [hold] = await stage.holds(threadId)
    const decided = await stage.decide(hold?.approval_id ?? '', {
      type: 'respond',
      message: 'I called them instead.',
    })
    await stage.client.runs.join(threadId, decided.json<Hold>().resumed_run_id ?? '')
    expect(told).toContain('I called them instead.')
    expect(told).toContain('"answered_by":"person"')
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
  })

  test('calls of one message run side by side, held ones and others together', async () => {
    const subject = newId()
    const busy = 'let t = Date.now(); while (Date.now() - t < 400); 1'
    stage.play(
      {
        toolCalls: [
          { name: 'run_javascript', args: { code: busy } },
          { name: 'run_javascript', args: { code: busy } },
          { name: 'list_files', args: {} },
        ],
      },
      { toolCalls: [mailTo(subject), { name: 'list_files', args: {} }] },
      { content: 'Done.' },
    )
    const threadId = await stage.thread()
    const events = await Array.fromAsync(
      stage.client.runs.stream(threadId, 'react', { input: says('Compute.'), streamMode: 'custom' }),
    )
    const steps = events.filter(({ event }) => event === 'custom').map(({ data }) => data as Custom)
    // One after the other would be start, done, start, done.
    expect(steps.slice(0, 3).map(({ type }) => type)).toEqual(['tool_start', 'tool_start', 'tool_start'])
    expect(steps.filter(({ type }) => type === 'tool_done').map(({ status }) => status)).toEqual([
      'ok',
      'ok',
      'ok',
    ])
    const [hold] = await stage.holds(threadId)
    const decided = await stage.decide(hold?.approval_id ?? '', { type: 'approve' })
    const values = (await stage.client.runs.join(
      threadId,
      decided.json<Hold>().resumed_run_id ?? '',
    )) as unknown as Values
    expect(values.messages.filter(({ type }) => type === 'tool')).toHaveLength(5)
  })

  test('unknown tools and bad arguments are answered, told to the model, and not run', async () => {
    let told: string[] = []
    stage.play(
      {
        toolCalls: [
          { name: 'drop_database', args: {} },
          { name: 'send_email', args: { to: 'nobody', subject: 'x', body: 'y' } },
          { name: 'read_file', args: { path: 'a', unknown: 1 } },
          { name: 'write_file', args: { path: 'half', content: '\ud800' } },
          { name: 'list_files', args: 'not an object' },
        ],
      },
      (request) => {
        told = request.messages.filter(({ role }) => role === 'tool').map(textOf)
        return { content: 'None of it.' }
      },
    )
    const threadId = await stage.thread()
    const events = await Array.fromAsync(
      stage.client.runs.stream(threadId, 'react', { input: says('Try.'), streamMode: ['custom', 'values'] }),
    )
    const steps = events.filter(({ event }) => event === 'custom').map(({ data }) => data as Custom)
    expect(steps.filter(({ type }) => type === 'tool_start')).toEqual([])
    expect(steps.map(({ status }) => status)).toEqual([
      'DENIED',
      'INVALID_ARGS',
      'INVALID_ARGS',
      'INVALID_ARGS',
      'INVALID_ARGS',
    ])
    expect(told).toHaveLength(5)
    expect(told[0]).toContain('This agent has no tool \\"drop_database\\"')
    expect(told[1]).toContain('INVALID_ARGS')
    expect(await stage.holds(threadId)).toEqual([])
    expect(events.at(-1)).toMatchObject({ event: 'values', data: { end_reason: 'completed' } })
  })

  test('a body with NUL is held, shown and sent like any other', async () => {
    const subject = newId()
    stage.play({ toolCalls: [mailTo(subject, { body: 'a\u0000b' })] }, { content: 'Mailed.' })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail NUL.') })
    const [hold] = await stage.holds(threadId)
    expect(hold?.args).toMatchObject({ body: 'a\u0000b' })
    const decided = await stage.decide(hold?.approval_id ?? '', { type: 'approve' })
    await stage.client.runs.join(threadId, decided.json<Hold>().resumed_run_id ?? '')
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
  })

  test('after 25 model calls the task ends with max_steps, and no call is left open', async () => {
    const steps = Array.from({ length: 25 }, (_, n) => ({
      toolCalls: [{ name: 'read_file', args: { path: `${n}.txt` } }],
    }))
    stage.play(...steps, { content: 'A new task has a new budget.' })
    const threadId = await stage.thread()
    const values = (await stage.client.runs.wait(threadId, 'react', {
      input: says('For ever.'),
    })) as unknown as Values
    expect(values.end_reason).toBe('max_steps')
    expect(stage.model.requests).toHaveLength(25)
    const calls = values.messages.flatMap(({ tool_calls = [] }) => tool_calls.map(({ id }) => id))
    const answered = values.messages.flatMap(({ tool_call_id }) => tool_call_id ?? [])
    expect(calls).toHaveLength(25)
    expect(answered).toEqual(calls)
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'idle' })
    const again = (await stage.client.runs.wait(threadId, 'react', {
      input: says('Again.'),
    })) as unknown as Values
    expect(again.end_reason).toBe('completed')
  })

  test('new input waits behind a hold, and takes the place of one when it says so', async () => {
    const subject = newId()
    const roles: string[][] = []
    stage.play({ toolCalls: [mailTo(subject)] }, (request) => {
      roles.push(request.messages.map(({ role }) => role))
      return { content: 'Left that.' }
    })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail it.') })
    const waiting = await stage.client.runs.create(threadId, 'react', { input: says('Hello?') })
    expect(await stage.client.runs.get(threadId, waiting.run_id)).toMatchObject({ status: 'pending' })
    await stage.client.runs.wait(threadId, 'react', {
      input: says('Never mind.'),
      multitaskStrategy: 'interrupt',
    })
    expect(await stage.client.runs.get(threadId, waiting.run_id)).toMatchObject({ status: 'interrupted' })
    expect(await stage.holds(threadId)).toMatchObject([{ status: 'cancelled' }])
    // No model accepts a conversation with an open call.
    expect(roles.map((list) => list.slice(1))).toEqual([['user', 'assistant', 'tool', 'user']])
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
  })

  test('an error of the model ends the run as an error, and the thread can go on', async () => {
    stage.play({ error: 401, message: 'Bad key' }, { content: 'Better.' })
    const threadId = await stage.thread()
    const events = await Array.fromAsync(
      stage.client.runs.stream(threadId, 'react', { input: says('Hello.'), streamMode: 'values' }),
    )
    expect(events.at(-1)).toMatchObject({ event: 'error', data: { error: 'ModelError' } })
    const [run] = await stage.client.runs.list(threadId)
    await untilRun(stage.client, threadId, run?.run_id ?? '', 'error')
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'error' })
    const values = (await stage.client.runs.wait(threadId, 'react', {
      input: says('Again.'),
    })) as unknown as Values
    expect(values.messages.at(-1)?.content).toBe('Better.')
  })
})

interface Custom {
  type: string
  status?: string
}
