import { expect, test } from 'vitest'
import { type ChatRequest, textOf } from '../../../models/chat-protocol/request.ts'
import type { Hold } from '../../../runtime/hold.ts'
import { newId } from '../../../runtime/ids.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import type { ScriptedStep } from '../../support/scripted-model.ts'
import { mailsAbout, mailTo, meeting, says, untilThread, useStage } from '../../support/stage.ts'

interface Values {
  messages: { type: string; content: string }[]
  results: Record<string, { status: string; text: string }>
  replans: number
  plan: { id: string }[]
  plan_error: string | null
  end_reason: string | null
}

interface Step {
  id: string
  tools?: string[]
  depends_on?: string[]
}

onBothDatabases((database) => {
  const stage = useStage(database)

  test('independent steps run at the same time, each in a namespace of its own, and the answer comes from their results', async () => {
    const together = meeting(2)
    const inTime = (text: string) => async () => {
      await together()
      return { content: text }
    }
    stage.play(
      plans([{ id: 'left' }, { id: 'right' }, { id: 'both', depends_on: ['left', 'right'] }]),
      step('left', inTime('Left is 1.')),
      step('right', inTime('Right is 2.')),
      step('both', (request) => {
        expect(words(request)).toContain('left: Left is 1.')
        expect(words(request)).toContain('right: Right is 2.')
        return { content: 'Both are 3.' }
      }),
      solves((request) => {
        expect(words(request)).toContain('both: Both are 3.')
        return { content: 'The answer is 3.' }
      }),
    )
    const threadId = await stage.thread()
    const events = await Array.fromAsync(
      stage.client.runs.stream(threadId, 'plan_and_solve', {
        input: says('Add.'),
        streamMode: ['updates', 'values', 'custom', 'messages-tuple'],
        streamSubgraphs: true,
      }),
    )
    expect(events.at(-1)).toMatchObject({ event: 'values', data: { end_reason: 'completed', replans: 0 } })
    const namespaces = new Set(
      events.flatMap(({ event }) => /^updates\|(step:[^|]+)$/.exec(event)?.[1] ?? []),
    )
    expect(namespaces.size).toBe(3)
    const { values } = await stage.client.threads.getState<Values>(threadId)
    expect(values.messages.at(-1)).toMatchObject({ type: 'ai', content: 'The answer is 3.' })
    expect(Object.keys(values.results).toSorted()).toEqual(['both', 'left', 'right'])
    const history = await stage.client.threads.getHistory<Values>(threadId, { limit: 50 })
    expect(history.map(({ next }) => next)).toContainEqual(['step', 'step'])
  })

  for (const [how, order] of Object.entries({ 'first one first': [0, 1], 'second one first': [1, 0] })) {
    test(`two steps are held at once and decided one after the other, ${how}: nothing that finished runs again`, async () => {
      const subjects = [newId(), newId()]
      stage.play(
        plans([
          { id: 'free' },
          { id: 'mail-a' },
          { id: 'mail-b' },
          { id: 'last', depends_on: ['mail-a', 'mail-b'] },
        ]),
        step('free', { toolCalls: [{ name: 'write_file', args: { path: 'free', content: 'x' } }] }),
        step('free', { content: 'Free is done.' }),
        step('mail-a', { toolCalls: [mailTo(subjects[0] ?? '')] }),
        step('mail-b', { toolCalls: [mailTo(subjects[1] ?? '')] }),
        step('mail-a', { content: 'A is mailed.' }),
        step('mail-b', { content: 'B is mailed.' }),
        step('last', { content: 'All is done.' }),
        solves({ content: 'Two mails.' }),
      )
      const threadId = await stage.thread()
      const run = await stage.client.runs.wait(threadId, 'plan_and_solve', { input: says('Mail twice.') })
      expect(run).toMatchObject({ results: {} })
      const thread = await stage.client.threads.get(threadId)
      expect(thread.status).toBe('interrupted')
      expect(Object.values(thread.interrupts).flat()).toHaveLength(2)
      const holds = await stage.holds(threadId, 'pending')
      expect(holds).toHaveLength(2)
      const byOrder = order.map((index) =>
        holds.find(({ args }) => (args as { subject: string }).subject === subjects[index]),
      )

      const first = await stage.decide(byOrder[0]?.approval_id ?? '', { type: 'approve' })
      await stage.client.runs.join(threadId, first.json<Hold>().resumed_run_id ?? '')
      expect(await mailsAbout(subjects[order[0] ?? 0] ?? '', stage.mails)).toBe(1)
      expect(await mailsAbout(subjects[order[1] ?? 0] ?? '', stage.mails)).toBe(0)
      expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'interrupted' })
      expect((await stage.holds(threadId, 'pending')).map(({ approval_id }) => approval_id)).toEqual([
        byOrder[1]?.approval_id,
      ])
      const nested = await stage.client.threads.getState<Values>(threadId, undefined, { subgraphs: true })
      const open = nested.tasks.find(
        ({ interrupts }) => interrupts.length > 0 && interrupts[0]?.id === byOrder[1]?.interrupt_id,
      )
      expect(open?.state?.values).toMatchObject({ end_reason: null })

      const second = await stage.decide(byOrder[1]?.approval_id ?? '', { type: 'approve' })
      const values = (await stage.client.runs.join(
        threadId,
        second.json<Hold>().resumed_run_id ?? '',
      )) as unknown as Values
      expect(values).toMatchObject({
        end_reason: 'completed',
        results: {
          free: { status: 'done', text: 'Free is done.' },
          'mail-a': { text: 'A is mailed.' },
          'mail-b': { text: 'B is mailed.' },
          last: { text: 'All is done.' },
        },
      })
      for (const subject of subjects) expect(await mailsAbout(subject, stage.mails)).toBe(1)
      expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'idle', interrupts: {} })
    })
  }

  test('two steps that are held at once and decided at once both go on, once', async () => {
    const subjects = [newId(), newId()]
    stage.play(
      plans([{ id: 'mail-a' }, { id: 'mail-b' }]),
      step('mail-a', { toolCalls: [mailTo(subjects[0] ?? '')] }),
      step('mail-b', { toolCalls: [mailTo(subjects[1] ?? '')] }),
      step('mail-a', { content: 'A.' }),
      step('mail-b', { content: 'B.' }),
      solves({ content: 'Done.' }),
    )
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'plan_and_solve', { input: says('Mail twice.') })
    const holds = await stage.holds(threadId, 'pending')
    const answers = await Promise.all(
      holds.map(({ approval_id }) => stage.decide(approval_id, { type: 'approve' })),
    )
    const runs = answers.map((answer) => answer.json<Hold>().resumed_run_id ?? '')
    await Promise.all(runs.map((runId) => stage.client.runs.join(threadId, runId)))
    await untilThread(stage.client, threadId, 'idle')
    expect((await stage.client.threads.getState<Values>(threadId)).values.end_reason).toBe('completed')
    for (const subject of subjects) expect(await mailsAbout(subject, stage.mails)).toBe(1)
  })

  test("the official SDK's command.resume answers two held steps at once", async () => {
    const subjects = [newId(), newId()]
    stage.play(
      plans([{ id: 'mail-a' }, { id: 'mail-b' }]),
      step('mail-a', { toolCalls: [mailTo(subjects[0] ?? '')] }),
      step('mail-b', { toolCalls: [mailTo(subjects[1] ?? '')] }),
      step('mail-a', { content: 'A.' }),
      step('mail-b', { content: 'FAILED: a person said no.' }),
      plans([{ id: 'without-b', depends_on: ['mail-a'] }]),
      step('without-b', { content: 'Went on without B.' }),
      solves({ content: 'Done.' }),
    )
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'plan_and_solve', { input: says('Mail twice.') })
    const holds = await stage.holds(threadId, 'pending')
    const resume = Object.fromEntries(
      holds.map(({ interrupt_id, args }) => [
        interrupt_id,
        { type: (args as { subject: string }).subject === subjects[0] ? 'approve' : 'reject' },
      ]),
    )
    const events = await Array.fromAsync(
      stage.client.runs.stream(threadId, 'plan_and_solve', { command: { resume }, streamMode: 'values' }),
    )
    expect(events.at(-1)).toMatchObject({ data: { end_reason: 'completed', replans: 1 } })
    expect(await mailsAbout(subjects[0] ?? '', stage.mails)).toBe(1)
    expect(await mailsAbout(subjects[1] ?? '', stage.mails)).toBe(0)
  })

  const UNSOUND: Record<string, [ScriptedStep, RegExp]> = {
    'no JSON': [onPlan({ content: 'I would first think.' }), /not valid JSON/],
    'a wrong shape': [onPlan({ json: { steps: [{ id: 'a' }] } }), /does not fit the schema/],
    'no steps': [plans([]), /does not fit the schema/],
    'an unknown tool': [
      plans([{ id: 'a', tools: ['launch_rocket'] }]),
      /"launch_rocket", which does not exist/,
    ],
    'a circle': [
      plans([
        { id: 'a', depends_on: ['b'] },
        { id: 'b', depends_on: ['a'] },
      ]),
      /depend on each other in a circle/,
    ],
    'a step that depends on nothing that exists': [
      plans([{ id: 'a', depends_on: ['z'] }]),
      /"z", which does not exist/,
    ],
    'an id used twice': [plans([{ id: 'a' }, { id: 'a' }]), /"a" is used twice/],
    'more than 20 steps': [
      plans(Array.from({ length: 21 }, (_, n) => ({ id: `s${n}` }))),
      /does not fit the schema/,
    ],
  }
  for (const [what, [bad, reason]] of Object.entries(UNSOUND)) {
    test(`a plan with ${what} gets one round of repair, and twice ends as invalid_plan`, async () => {
      stage.play(bad, bad)
      const threadId = await stage.thread()
      const values = (await stage.client.runs.wait(threadId, 'plan_and_solve', {
        input: says('Plan.'),
      })) as unknown as Values
      expect(values).toMatchObject({ end_reason: 'invalid_plan', plan: [], results: {} })
      expect(values.plan_error).toMatch(reason)
      expect(stage.model.requests).toHaveLength(2)
      const repair = stage.model.requests[1]?.messages.at(-1)
      expect(repair && textOf(repair)).toMatch(reason)
      expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'idle' })

      stage.play(
        bad,
        plans([{ id: 'good' }]),
        step('good', { content: 'Good.' }),
        solves({ content: 'Fine.' }),
      )
      const again = (await stage.client.runs.wait(threadId, 'plan_and_solve', {
        input: says('Again.'),
      })) as unknown as Values
      expect(again).toMatchObject({ end_reason: 'completed', plan_error: null })
      expect(Object.keys(again.results)).toEqual(['good'])
    })
  }

  test('a failed step leads to a new plan that keeps what is finished', async () => {
    stage.play(
      plans([{ id: 'done' }, { id: 'fails' }, { id: 'never', depends_on: ['fails'] }]),
      step('done', { content: 'Done is 1.' }),
      step('fails', { content: 'FAILED: the file is missing.' }),
      onPlan((request) => {
        expect(words(request)).toContain('done: Done is 1.')
        expect(words(request)).toContain('fails: the file is missing.')
        return { json: { steps: [full({ id: 'instead', depends_on: ['done'] })] } }
      }),
      step('instead', (request) => {
        expect(words(request)).toContain('done: Done is 1.')
        return { content: 'Instead is 2.' }
      }),
      solves({ content: 'It is 2.' }),
    )
    const threadId = await stage.thread()
    const values = (await stage.client.runs.wait(threadId, 'plan_and_solve', {
      input: says('Try.'),
    })) as unknown as Values
    expect(values).toMatchObject({ end_reason: 'completed', replans: 1 })
    expect(values.results).toMatchObject({ done: { status: 'done' }, instead: { status: 'done' } })
    expect(values.results).not.toHaveProperty('never')
  })

  test('after two new plans that fail the task ends as max_replans', async () => {
    stage.play(...['a', 'b', 'c'].flatMap((id) => [plans([{ id }]), step(id, { content: 'FAILED: no.' })]))
    const threadId = await stage.thread()
    const values = (await stage.client.runs.wait(threadId, 'plan_and_solve', {
      input: says('Try.'),
    })) as unknown as Values
    expect(values).toMatchObject({ end_reason: 'max_replans', replans: 2 })
    expect(values.messages.at(-1)?.content).toContain('The task was not finished')
  })

  test('a second task on the same thread starts without the results of the first', async () => {
    stage.play(
      plans([{ id: 'one' }]),
      step('one', { content: '1' }),
      solves({ content: 'One.' }),
      plans([{ id: 'one' }]),
      step('one', { content: '2' }),
      solves((request) => {
        expect(words(request)).toContain('one: 2')
        return { content: 'Two.' }
      }),
    )
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'plan_and_solve', { input: says('First.') })
    const values = (await stage.client.runs.wait(threadId, 'plan_and_solve', {
      input: says('Second.'),
    })) as unknown as Values
    expect(values).toMatchObject({ end_reason: 'completed', results: { one: { text: '2' } } })
  })
})

function plans(steps: Step[]): ScriptedStep {
  return onPlan({ json: { steps: steps.map(full) } })
}

function full({ id, tools = [], depends_on = [] }: Step) {
  return { id, goal: goalOf(id), tools, depends_on }
}

function goalOf(id: string): string {
  return `Goal of ${id}.`
}

function onPlan(answer: Extract<ScriptedStep, { answer: unknown }>['answer']): ScriptedStep {
  return { match: ({ response_format }) => response_format?.type === 'json_schema', answer }
}

function step(id: string, answer: Extract<ScriptedStep, { answer: unknown }>['answer']): ScriptedStep {
  return { match: (request) => words(request).includes(`Your step: ${goalOf(id)}`), answer }
}

function solves(answer: Extract<ScriptedStep, { answer: unknown }>['answer']): ScriptedStep {
  return { match: (request) => words(request).includes('Answer the task from these results.'), answer }
}

function words({ messages }: ChatRequest): string {
  return messages.map(textOf).join('\n')
}
