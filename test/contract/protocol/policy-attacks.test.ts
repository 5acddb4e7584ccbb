import { Client } from '@langchain/langgraph-sdk'
import { beforeEach, expect, test } from 'vitest'
import type { Hold } from '../../../runtime/hold.ts'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { type Keyed, useKeyedStage } from '../../support/keys.ts'
import { usePolicyFile } from '../../support/policy-file.ts'
import { type Answer, mailsAbout, mailTo, says, untilThread } from '../../support/stage.ts'

const PEOPLE = {
  otto: { roles: ['operator', 'approver'] },
  mal: { roles: ['operator', 'approver'] },
  ada: { roles: ['approver'] },
  ben: { roles: ['approver'] },
  eve: { roles: ['operator', 'approver', 'admin'], tenant: 'elsewhere' },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

onEachDatabase((database) => {
  const policy = usePolicyFile()
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE, policy.env)
  const client = (name: Name) =>
    new Client({ apiUrl: stage.url, apiKey: keyOf(name), callerOptions: { maxRetries: 0 } })
  beforeEach(() =>
    policy.inForce(stage, [{ name: 'two', when: { tool: 'send_email' }, then: 'hold', approvers: 2 }]),
  )
  const sent = async (subject: string) => await mailsAbout(subject, stage.mails)
  const at = ({ approval_id: id }: Hold, more = '') => `/approvals/${id}${more}`
  const decide = (name: Name, hold: Hold, decision: unknown): Promise<Answer> =>
    as(name, 'POST', at(hold, '/decisions'), decision)
  const see = async (hold: Hold) => (await as('ada', 'GET', at(hold))).json<Hold>()

  async function held(subject = newId()) {
    stage.play({ toolCalls: [mailTo(subject)] })
    const { thread_id: threadId } = await client('otto').threads.create()
    await client('otto').runs.wait(threadId, 'react', { input: says('Mail.') })
    await untilThread(client('otto'), threadId, 'interrupted')
    const [hold] = (await as('ada', 'GET', `/approvals?thread_id=${threadId}`)).json<Hold[]>()
    if (hold === undefined) throw new Error('Nothing is held.')
    return { hold, threadId, subject }
  }

  test('a vote that is taken back while the last one comes counts, or does not: never both', async () => {
    const ends = { released: 0, waits: 0 }
    for (let round = 0; round < 15; round += 1) {
      const { hold, threadId, subject } = await held()
      await decide('ada', hold, { type: 'approve' })
      stage.model.play([{ content: 'Mailed.' }])
      const [back, last] = await Promise.all([
        as('ada', 'DELETE', at(hold, '/votes')),
        decide('ben', hold, { type: 'approve' }),
      ])
      expect(last.status).toBe(200)
      const now = await see(hold)
      if (back.status === 409) {
        expect(now).toMatchObject({ status: 'approved', votes: [{ by: 'ada' }, { by: 'ben' }] })
        ends.released += 1
      } else {
        expect([back.status, now]).toMatchObject([200, { status: 'pending', votes: [{ by: 'ben' }] }])
        expect(await sent(subject)).toBe(0)
        expect((await decide('ada', hold, { type: 'approve' })).status).toBe(200)
        ends.waits += 1
      }
      await untilThread(client('otto'), threadId, 'idle')
      expect(await sent(subject)).toBe(1)
    }
    expect(ends.released + ends.waits).toBe(15)
  }, 90_000)

  test('an edit that races the last vote is released by nobody who has not seen it', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { hold, threadId, subject } = await held()
      await decide('ada', hold, { type: 'approve' })
      stage.model.play([{ content: 'Whatever.' }])
      const args = { ...mailTo(subject).args, to: 'mal@example.com' }
      const [edit, last] = await Promise.all([
        decide('mal', hold, { type: 'edit', args }),
        decide('ben', hold, { type: 'approve', args_hash: hold.args_hash }),
      ])
      const now = await see(hold)
      if (edit.status === 200) {
        expect([last.status, now]).toMatchObject([409, { status: 'pending', votes: [] }])
        expect((await decide('ben', hold, { type: 'reject' })).status).toBe(200)
      } else expect([edit.status, now.status]).toEqual([409, 'approved'])
      await untilThread(client('otto'), threadId, 'idle')
      const mails = (await stage.mails()).filter((mail) => mail.includes(subject))
      expect(mails.filter((mail) => mail.includes('mal@example.com'))).toEqual([])
      expect(mails).toHaveLength(edit.status === 200 ? 0 : 1)
    }
  }, 90_000)

  test('whatever another tenant sends to an approval, it is not there, and nothing is said of it', async () => {
    const { hold, threadId } = await held()
    const answers = [
      await as('eve', 'GET', at(hold)),
      await decide('eve', hold, { type: 'approve' }),
      await decide('eve', hold, { type: 'edit', args: mailTo('x').args }),
      await decide('eve', hold, { type: 'reject', message: 'No.' }),
      await as('eve', 'DELETE', at(hold, '/votes')),
      await as('eve', 'POST', at(hold, '/comments'), { text: 'Hello.' }),
      await as('eve', 'POST', at(hold, '/links'), { principal: 'eve' }),
      await as('eve', 'POST', at(hold, '/links'), { principal: 'ada' }),
      await as('eve', 'POST', `/threads/${threadId}/runs`, {
        assistant_id: 'react',
        command: { resume: { decisions: [{ approval_id: hold.approval_id, type: 'approve' }] } },
      }),
      await as('eve', 'POST', `/threads/${threadId}/state`, { values: { verdicts: [] }, as_node: 'hold' }),
      await as('eve', 'POST', `/threads/${threadId}/copy`),
    ]
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 404))
    const words = answers.map(({ text }) => text).join(' ')
    for (const told of ['otto', 'send_email', hold.args_hash]) expect(words).not.toContain(told)
    expect(await see(hold)).toEqual({ ...hold, you: expect.anything(), self_approval: false })
  })

  test('a body that says more than a decision, or says it otherwise, is none', async () => {
    const { hold } = await held()
    const odd: unknown[] = [
      { type: 'approve', by: 'ben' },
      { type: 'approve', args: mailTo('x').args },
      { type: 'Approve' },
      { type: ['approve'] },
      { type: 'approve', args_hash: hold.args_hash.toUpperCase() },
      { type: 'approve', args_hash: [hold.args_hash] },
      { type: 'approve', __proto__: { roles: ['senior'] }, roles: ['senior'] },
      [{ type: 'approve' }],
      'approve',
      null,
    ]
    for (const decision of odd) {
      const { status } = await decide('ada', hold, decision)
      expect([400, 409, 422], JSON.stringify(decision)).toContain(status)
    }
    expect(await see(hold)).toMatchObject({ status: 'pending', votes: [], decisions: [] })
  })

  test('texts that no database keeps and no page shows as they are change nothing that they should not', async () => {
    const { hold, threadId } = await held()
    const NUL = '\u0000'
    const odd = `a${NUL}b\u202e\ud800`
    for (const text of [odd, 'x'.repeat(5_000), '\u202e']) {
      const { status } = await as('mal', 'POST', at(hold, '/comments'), { text })
      expect([200, 422]).toContain(status)
    }
    const vote = await decide('ada', hold, { type: 'approve', message: `fine${NUL}` })
    expect([200, 422]).toContain(vote.status)
    const edits = [
      { ...mailTo('edited').args, body: `a${NUL}b` },
      { ...mailTo('edited').args, body: 'half \ud800' },
      { ...mailTo('edited').args, body: 'x'.repeat(1_000_000) },
      { ...mailTo('edited').args, [`k${NUL}`]: 1 },
    ]
    for (const args of edits) {
      const { status } = await decide('mal', hold, { type: 'edit', args })
      expect([200, 422]).toContain(status)
    }
    expect((await as('ada', 'GET', at(hold))).status).toBe(200)
    expect((await as('ada', 'GET', `/approvals?thread_id=${threadId}`)).status).toBe(200)
    stage.model.play([{ content: 'All right.' }])
    expect((await decide('ben', hold, { type: 'reject', message: odd })).status).toBe(200)
    await untilThread(client('otto'), threadId, 'idle')
  })

  test('nobody fills an approval with edits', async () => {
    const { hold, threadId } = await held()
    const statuses = new Set<number>()
    for (let n = 0; n < 60; n += 1) {
      const args = { ...mailTo('edited').args, body: String(n) }
      statuses.add((await decide('mal', hold, { type: 'edit', args })).status)
    }
    expect(statuses).toEqual(new Set([200, 422]))
    expect((await see(hold)).decisions.length).toBe(50)
    stage.model.play([{ content: 'All right.' }])
    expect((await decide('ben', hold, { type: 'reject' })).status).toBe(200)
    await untilThread(client('otto'), threadId, 'idle')
  })
})
