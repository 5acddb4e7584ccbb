import { expect, test } from 'vitest'
import { type ChatRequest, textOf } from '../../../models/chat-protocol/request.ts'
import type { Hold } from '../../../runtime/hold.ts'
import { newId } from '../../../runtime/ids.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import type { ScriptedStep } from '../../support/scripted-model.ts'
import { mailsAbout, mailTo, says, useStage } from '../../support/stage.ts'

interface Values {
  messages: { type: string; content: string }[]
  reports: { specialist: string; text: string }[]
  end_reason: string | null
}

onBothDatabases((database) => {
  const stage = useStage(database)

  test('specialists work one after the other, each in its own namespace, and one is held for an approval', async () => {
    const subject = newId()
    stage.play(
      routes('researcher', 'Find the number.'),
      works('Find the number.', { toolCalls: [{ name: 'list_files', args: {} }] }),
      works('Find the number.', { content: 'It is 7.' }),
      routes('operator', `Mail it as ${subject}.`),
      works(`Mail it as ${subject}.`, (request) => {
        expect(words(request)).toContain('researcher: It is 7.')
        return { toolCalls: [mailTo(subject)] }
      }),
      works(`Mail it as ${subject}.`, { content: 'Mailed.' }),
      finishes('It was 7, and it is mailed.', (request) => {
        expect(words(request)).toContain('operator: Mailed.')
      }),
    )
    const threadId = await stage.thread()
    const events = await Array.fromAsync(
      stage.client.runs.stream(threadId, 'supervisor', {
        input: says('Find and mail.'),
        streamMode: ['updates', 'custom', 'values', 'messages-tuple'],
        streamSubgraphs: true,
      }),
    )
    const namespaces = new Set(
      events.flatMap(({ event }) => /\|(researcher|analyst|operator):/.exec(event)?.[1] ?? []),
    )
    expect([...namespaces]).toEqual(['researcher', 'operator'])
    const customs = events.filter(({ event }) => event.startsWith('custom|'))
    expect(customs.map(({ data }) => (data as { type: string }).type)).toEqual([
      'tool_start',
      'tool_done',
      'hold',
    ])

    const thread = await stage.client.threads.get(threadId)
    expect(thread).toMatchObject({ status: 'interrupted' })
    // The root graph's values, not the specialist's.
    expect(thread.values).toMatchObject({ reports: [{ specialist: 'researcher' }] })
    const state = await stage.client.threads.getState<Values>(threadId, undefined, { subgraphs: true })
    expect(state.next).toEqual(['operator'])
    expect(state.tasks[0]?.state).toMatchObject({ next: ['hold'] })
    expect(state.tasks[0]?.state?.checkpoint.checkpoint_ns).toMatch(/^operator:/)

    const [hold] = await stage.holds(threadId)
    const decided = await stage.decide(hold?.approval_id ?? '', { type: 'approve' })
    const values = (await stage.client.runs.join(
      threadId,
      decided.json<Hold>().resumed_run_id ?? '',
    )) as unknown as Values
    expect(values).toMatchObject({
      end_reason: 'completed',
      reports: [
        { specialist: 'researcher', text: 'It is 7.' },
        { specialist: 'operator', text: 'Mailed.' },
      ],
    })
    expect(values.messages.at(-1)?.content).toBe('It was 7, and it is mailed.')
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
    const history = await stage.client.threads.getHistory<Values>(threadId, { limit: 50 })
    expect(history.length).toBeGreaterThan(5)
    const [inside] = await stage.client.threads.getHistory<Values>(threadId, {
      checkpoint: { checkpoint_ns: state.tasks[0]?.state?.checkpoint.checkpoint_ns ?? '' },
    })
    expect(inside?.values).toMatchObject({ end_reason: 'completed' })
  })

  test("the official SDK's command.resume reaches a hold inside a specialist", async () => {
    const subject = newId()
    stage.play(
      routes('operator', 'Mail.'),
      works('Mail.', { toolCalls: [mailTo(subject)] }),
      works('Mail.', (request) => {
        expect(words(request)).toContain('A person rejected this call: too early')
        return { content: 'FAILED: it was refused.' }
      }),
      finishes('It was refused.'),
    )
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'supervisor', { input: says('Mail.') })
    const values = (await stage.client.runs.wait(threadId, 'supervisor', {
      command: { resume: { type: 'reject', message: 'too early' } },
    })) as unknown as Values
    expect(values.reports).toEqual([{ specialist: 'operator', text: 'FAILED: it was refused.' }])
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
  })

  test('a specialist has its own tools and no others', async () => {
    let tools: string[] = []
    stage.play(
      routes('researcher', 'Mail it yourself.'),
      works('Mail it yourself.', (request) => {
        tools = (request.tools ?? []).map((tool) => tool.function.name)
        return { toolCalls: [mailTo('forbidden')] }
      }),
      works('Mail it yourself.', (request) => {
        expect(words(request)).toContain('This agent has no tool \\"send_email\\"')
        return { content: 'FAILED: I cannot.' }
      }),
      finishes('No.'),
    )
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'supervisor', { input: says('Mail.') })
    expect(tools).toEqual(['list_files', 'read_file', 'search_files', 'http_fetch', 'current_time', 'recall'])
    expect(await stage.holds(threadId)).toEqual([])
    expect(await mailsAbout('forbidden', stage.mails)).toBe(0)
  })

  test('hand-offs are bounded: after eight the task ends as max_handoffs', async () => {
    stage.play(
      ...Array.from({ length: 8 }, (_, n) => [
        routes('researcher', `Look ${n}.`),
        works(`Look ${n}.`, { content: `Looked ${n}.` }),
      ]).flat(),
    )
    const threadId = await stage.thread()
    const values = (await stage.client.runs.wait(threadId, 'supervisor', {
      input: says('Look.'),
    })) as unknown as Values
    expect(values.end_reason).toBe('max_handoffs')
    expect(values.reports).toHaveLength(8)
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'idle' })
  })

  test('a new task on the same thread starts without the old reports', async () => {
    stage.play(
      routes('analyst', 'Count.'),
      works('Count.', { content: 'It is 1.' }),
      finishes('One.'),
      finishes('Nothing to do.', (request) => {
        expect(words(request)).toContain('Reports so far:\nnone')
      }),
    )
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'supervisor', { input: says('First.') })
    const values = (await stage.client.runs.wait(threadId, 'supervisor', {
      input: says('Second.'),
    })) as unknown as Values
    expect(values).toMatchObject({ reports: [], end_reason: 'completed' })
    expect(values.messages.map(({ content }) => content)).toEqual([
      'First.',
      'One.',
      'Second.',
      'Nothing to do.',
    ])
  })
})

type Answer = Extract<ScriptedStep, { answer: unknown }>['answer']

function routes(next: string, task: string): ScriptedStep {
  return onRoute({ json: { next, task, answer: '' } })
}

function finishes(answer: string, check: (request: ChatRequest) => void = () => {}): ScriptedStep {
  return onRoute((request) => {
    check(request)
    return { json: { next: 'finish', task: '', answer } }
  })
}

function onRoute(answer: Answer): ScriptedStep {
  return { match: ({ response_format }) => response_format?.type === 'json_schema', answer }
}

function works(task: string, answer: Answer): ScriptedStep {
  return { match: (request) => words(request).includes(`Task: ${task}`), answer }
}

function words({ messages }: ChatRequest): string {
  return messages.map(textOf).join('\n')
}
