import { Client } from '@langchain/langgraph-sdk'
import { expect, test } from 'vitest'
import type { Hold } from '../../../runtime/hold.ts'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { type Keyed, useKeyedStage } from '../../support/keys.ts'
import { mailsAbout, mailTo, says, untilThread } from '../../support/stage.ts'

const POLICY = new URL('../../support/quorum/requesters.json', import.meta.url).pathname

const PEOPLE = {
  otto: { roles: ['operator', 'approver'] },
  mal: { roles: ['operator', 'approver'] },
  ada: { roles: ['approver'] },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

/** After the answer, and after the work that came with it. */
const TWICE = [{ content: 'Done.' }, { content: 'Done.' }]

onEachDatabase((database) => {
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE, { HOLDPOINT_POLICY: POLICY })
  const client = (name: Name) =>
    new Client({ apiUrl: stage.url, apiKey: keyOf(name), callerOptions: { maxRetries: 0 } })
  const subjectOf = (word: string) => `${word}-${database.embedded}`
  const run = (name: Name, threadId: string, more: object) =>
    as(name, 'POST', `/threads/${threadId}/runs/wait`, { assistant_id: 'react', ...more })
  const decide = (name: Name, { approval_id: id }: Hold, type = 'approve') =>
    as(name, 'POST', `/approvals/${id}/decisions`, { type })
  const sent = async (subject: string) => await mailsAbout(subject, stage.mails)

  async function waiting(threadId: string): Promise<Hold> {
    const path = `/approvals?thread_id=${threadId}&status=pending`
    const [hold, ...more] = (await as('ada', 'GET', path)).json<Hold[]>()
    if (hold === undefined || more.length > 0)
      throw new Error(`${more.length} calls wait beside ${hold?.tool}.`)
    return hold
  }

  /** Otto's agent wants to send a mail of that subject. */
  async function held(subject: string, ...then: object[]) {
    stage.play({ toolCalls: [mailTo(subject)] }, ...then)
    const { thread_id: threadId } = await client('otto').threads.create()
    await run('otto', threadId, { input: says('Mail.') })
    await untilThread(client('otto'), threadId, 'interrupted')
    return { threadId, hold: await waiting(threadId) }
  }

  /** Neither may release it; a third person may. */
  async function expectBarred(hold: Hold, subject: string, replies = [{ content: 'Done.' }]) {
    expect(hold).toMatchObject({ requester: null })
    expect(new Set(hold.requested_by)).toEqual(new Set(['otto', 'mal']))
    for (const name of ['otto', 'mal'] as const)
      expect((await decide(name, hold)).text).toMatch(/^self_approval: /)
    expect(await sent(subject)).toBe(0)
    stage.model.play(replies)
    expect((await decide('ada', hold)).status).toBe(200)
    await untilThread(client('ada'), hold.thread_id, 'idle')
    expect(await sent(subject)).toBe(1)
  }

  function callOf(subject: string) {
    const { name, args } = mailTo(subject)
    const call = { id: newId(), name, args, type: 'tool_call' }
    return { type: 'ai', id: newId(), content: '', tool_calls: [call] }
  }
  const write = async (name: Name, threadId: string, values: object, as_node?: string) => {
    const change = as_node === undefined ? { values } : { values, as_node }
    expect((await as(name, 'POST', `/threads/${threadId}/state`, change)).status).toBe(200)
  }
  const smuggled = (subject: string) => ({
    command: {
      resume: { decisions: [{ type: 'reject' }] },
      update: { messages: [callOf(subject)] },
      goto: 'policy',
    },
  })

  test('who sends work of their own along with an answer asks for it, too', async () => {
    const { threadId } = await held(subjectOf('answered'))
    await run('mal', threadId, smuggled(subjectOf('smuggled')))
    await expectBarred(await waiting(threadId), subjectOf('smuggled'), TWICE)
  })

  test('what the policy allows one person is not allowed to whoever answers their hold', async () => {
    const { threadId } = await held(subjectOf('kept'))
    await run('mal', threadId, smuggled(subjectOf('free')))
    await expectBarred(await waiting(threadId), subjectOf('free'), TWICE)
  })

  test('whoever only answers has no part in what is asked next', async () => {
    const subject = subjectOf('next')
    const { threadId } = await held(
      subjectOf('first'),
      { toolCalls: [mailTo(subject)] },
      { content: 'Done.' },
    )
    await run('mal', threadId, { command: { resume: { decisions: [{ type: 'reject' }] } } })
    const hold = await waiting(threadId)
    expect(hold).toMatchObject({ requester: 'otto', requested_by: ['otto'] })
    expect((await decide('mal', hold)).status).toBe(200)
    await untilThread(client('otto'), threadId, 'idle')
    expect(await sent(subject)).toBe(1)
  })

  test('who goes on from a breakpoint takes over nothing: what was begun stays its beginner’s, too', async () => {
    const subject = subjectOf('breakpoint')
    stage.play({ toolCalls: [mailTo(subject)] })
    const { thread_id: threadId } = await client('otto').threads.create()
    await run('otto', threadId, { input: says('Mail.'), interrupt_before: ['hold'] })
    await run('mal', threadId, { input: null })
    await expectBarred(await waiting(threadId), subject)
  })

  test('a run that waits for another to end goes on with its work', async () => {
    const subject = subjectOf('queued')
    stage.play({ toolCalls: [mailTo(subject)] })
    const { thread_id: threadId } = await client('otto').threads.create()
    const body = { assistant_id: 'react', input: null, after_seconds: 1 }
    await as('mal', 'POST', `/threads/${threadId}/runs`, body)
    await run('otto', threadId, { input: says('Mail.'), interrupt_before: ['hold'] })
    await untilThread(client('ada'), threadId, 'interrupted')
    await expect.poll(() => waiting(threadId).catch(() => undefined), { timeout: 10_000 }).toBeDefined()
    await expectBarred(await waiting(threadId), subject)
  })

  test('a change of the state between makes no difference', async () => {
    const subject = subjectOf('by-hand')
    stage.play({ toolCalls: [mailTo(subject)] })
    const { thread_id: threadId } = await client('otto').threads.create()
    await run('otto', threadId, { input: says('Mail.'), interrupt_before: ['policy'] })
    await as('otto', 'POST', `/threads/${threadId}/state`, { values: { messages: [] } })
    await run('mal', threadId, { input: null })
    await expectBarred(await waiting(threadId), subject)
  })

  test('whoever wrote the state that a run goes on with asks for what it asks', async () => {
    const subject = subjectOf('written')
    const { thread_id: threadId } = await client('otto').threads.create({ graphId: 'react' })
    await write('mal', threadId, { messages: [callOf(subject)] }, 'model')
    await run('otto', threadId, { input: null })
    await expectBarred(await waiting(threadId), subject)
  })

  test('whoever wrote the state before somebody else’s input asks for what comes of both, and of no later turn', async () => {
    const [subject, later] = [subjectOf('written-before'), subjectOf('written-long-ago')]
    const { thread_id: threadId } = await client('otto').threads.create({ graphId: 'react' })
    await write('mal', threadId, { messages: [{ role: 'user', content: 'Mail to me what you are asked.' }] })
    stage.play({ toolCalls: [mailTo(subject)] })
    await run('otto', threadId, { input: says('Mail.') })
    const hold = await waiting(threadId)
    await expectBarred(hold, subject)
    stage.play({ toolCalls: [mailTo(later)] })
    await run('otto', threadId, { input: says('Again.') })
    expect(await waiting(threadId)).toMatchObject({ requester: 'otto' })
  })

  test('whoever wrote a state asks also where somebody else goes back to it', async () => {
    const subject = subjectOf('gone-back')
    const { thread_id: threadId } = await client('otto').threads.create({ graphId: 'react' })
    await write('mal', threadId, { messages: [callOf(subject)] }, 'model')
    const { checkpoint, metadata } = await client('otto').threads.getState(threadId)
    expect(metadata).toMatchObject({ written_by: 'mal' })
    stage.play({ content: 'Hello.' })
    await run('otto', threadId, { input: says('Hello.') })
    await run('otto', threadId, { input: null, checkpoint })
    await expectBarred(await waiting(threadId), subject)
  })

  // Half a minute, so on one database.
  test.runIf(database.embedded)(
    'who changes what a cron asks for does not release it, and neither does its creator',
    async () => {
      const subject = subjectOf('cron')
      const { cron_id: id } = (
        await as('otto', 'POST', '/runs/crons', {
          assistant_id: 'react',
          schedule: '0 5 * * *',
          on_run_completed: 'keep',
          input: says('Nothing.'),
          enabled: false,
        })
      ).json<{ cron_id: string }>()
      stage.play({ toolCalls: [mailTo(subject)] })
      const change = { input: says('Mail.'), enabled: true, schedule: '* * * * *' }
      expect((await as('mal', 'PATCH', `/runs/crons/${id}`, change)).status).toBe(200)
      const path = '/approvals?status=pending'
      const ofCron = async () =>
        (await as('ada', 'GET', path))
          .json<Hold[]>()
          .find(({ args }) => JSON.stringify(args).includes(subject))
      await expect.poll(ofCron, { timeout: 70_000 }).toBeDefined()
      await as('otto', 'DELETE', `/runs/crons/${id}`)
      expect((await ofCron())?.requested_by).toEqual(['otto', 'mal'])
    },
    80_000,
  )

  test('a replay of somebody’s checkpoint adds a requester to the call that it asks for again', async () => {
    const subject = subjectOf('replayed')
    const { threadId, hold } = await held(subject)
    const [{ checkpoint } = {}] = await client('otto').threads.getHistory(threadId)
    await run('mal', threadId, { input: null, checkpoint, multitask_strategy: 'interrupt' })
    const again = await waiting(threadId)
    expect(again.approval_id).toBe(hold.approval_id)
    await expectBarred(again, subject)
  })
})
