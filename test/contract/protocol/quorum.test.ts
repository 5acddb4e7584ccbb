import { Client } from '@langchain/langgraph-sdk'
import { describe, expect, test } from 'vitest'
import type { Hold } from '../../../runtime/hold.ts'
import { onEachDatabase, onEmbedded } from '../../support/each-database.ts'
import { type Keyed, useKeyedStage } from '../../support/keys.ts'
import { mailsAbout, mailTo, says, untilThread, useStage } from '../../support/stage.ts'

const POLICY = new URL('../../support/quorum/policy.json', import.meta.url).pathname

const PEOPLE = {
  otto: { roles: ['operator', 'approver'] },
  ada: { roles: ['approver'] },
  ben: { roles: ['approver'] },
  sam: { roles: ['senior'] },
  grace: { roles: ['approver'] },
  vera: { roles: ['viewer'] },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

type Shown = Hold & {
  self_approval: boolean
  you: { identity: string; may: string[]; why_not: string | null }
}

onEachDatabase((database) => {
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE, { HOLDPOINT_POLICY: POLICY })
  const client = (name: Name) =>
    new Client({ apiUrl: stage.url, apiKey: keyOf(name), callerOptions: { maxRetries: 0 } })

  /** Otto's agent wants to send a mail of that subject. */
  async function held(subject: string, goesOn = true) {
    stage.play({ toolCalls: [mailTo(subject)] }, ...(goesOn ? [{ content: 'Done.' }] : []))
    const { thread_id: threadId } = await client('otto').threads.create()
    await client('otto').runs.wait(threadId, 'react', { input: says('Mail.') })
    await untilThread(client('otto'), threadId, 'interrupted')
    const [hold] = (await as('vera', 'GET', `/approvals?thread_id=${threadId}`)).json<Shown[]>()
    if (hold === undefined) throw new Error('Nothing is held.')
    return { threadId, hold, path: `/approvals/${hold.approval_id}` }
  }
  const decide = (name: Name, path: string, decision: object) =>
    as(name, 'POST', `${path}/decisions`, decision)
  const approve = (name: Name, path: string) => decide(name, path, { type: 'approve' })
  const see = async (name: Name, path: string) => (await as(name, 'GET', path)).json<Shown>()
  const sent = async (subject: string) => await mailsAbout(subject, stage.mails)
  /** The run has gone on to its end, and has sent it once. */
  async function untilSent(threadId: string, subject: string) {
    await untilThread(client('otto'), threadId, 'idle')
    expect(await sent(subject)).toBe(1)
  }
  test('a call that needs two waits with the first one’s vote, and runs with the second one’s', async () => {
    const subject = `two-${database.embedded}`
    const { hold, path, threadId } = await held(subject)
    expect(hold).toMatchObject({
      needs: { approvers: 2, seniors: 0 },
      votes: [],
      requester: 'otto',
      rule: 'two',
    })
    expect(hold).toMatchObject({ self_approval: false, you: { identity: 'vera', may: [] } })
    const first = (await decide('ada', path, { type: 'approve', message: 'Fine by me.' })).json<Shown>()
    expect(first).toMatchObject({
      status: 'pending',
      decisions: [],
      votes: [{ by: 'ada', type: 'approve', comment: 'Fine by me.', senior: false }],
      you: {
        may: ['edit', 'reject', 'respond'],
        why_not: expect.stringContaining('ada has approved already'),
      },
    })
    expect((await client('otto').threads.get(threadId)).status).toBe('interrupted')
    const again = await approve('ada', path)
    expect([again.status, again.text]).toEqual([409, expect.stringContaining('It still needs a person')])
    expect(await sent(subject)).toBe(0)
    const last = (await approve('ben', path)).json<Shown>()
    expect(last).toMatchObject({
      status: 'approved',
      votes: [{ by: 'ada' }, { by: 'ben' }],
      decisions: [
        { by: 'ada', type: 'approve', message: 'Fine by me.' },
        { by: 'ben', type: 'approve' },
      ],
    })
    await untilSent(threadId, subject)
    const audit = (await as('vera', 'GET', `/audit?thread_id=${threadId}`)).json<
      { kind: string; actor: string; data: object }[]
    >()
    const kinds = audit.map(({ kind, actor }) => `${kind} ${actor}`)
    expect(kinds).toContain('hold.voted ada')
    expect(kinds).toContain('hold.decided ben')
    expect(audit.find(({ kind }) => kind === 'hold.decided')?.data).toMatchObject({
      released_by: ['ada', 'ben'],
    })
    expect(JSON.stringify(audit)).not.toContain('Fine by me')
  })

  test('whoever started the run decides nothing of it, whichever way; nor do those without the role', async () => {
    const { hold, path, threadId } = await held('two-own', false)
    for (const decision of [
      { type: 'approve' },
      { type: 'edit', args: hold.args },
      { type: 'reject' },
      { type: 'respond', message: 'x' },
    ]) {
      const own = await decide('otto', path, decision)
      expect([own.status, own.text], JSON.stringify(decision)).toEqual([
        403,
        expect.stringMatching(/^self_approval: otto started this run/),
      ])
      expect((await decide('vera', path, decision)).status).toBe(403)
    }
    const resume = { command: { resume: { decisions: [{ type: 'approve' }] } } }
    await expect(client('otto').runs.wait(threadId, 'react', resume)).rejects.toThrow(/self_approval/)
    expect(await see('otto', path)).toMatchObject({
      status: 'pending',
      votes: [],
      you: { may: [], why_not: expect.stringContaining('otto started') },
    })
  })

  test('a run’s command has the last word of a quorum, and not the first', async () => {
    const subject = `two-resume-${database.embedded}`
    const { path, threadId } = await held(subject)
    const resume = { command: { resume: { decisions: [{ type: 'approve' }] } } }
    await expect(client('ada').runs.wait(threadId, 'react', resume)).rejects.toThrow(
      /not it\. Say it at POST/,
    )
    expect((await see('ada', path)).votes).toEqual([])
    expect((await approve('ben', path)).json()).toMatchObject({ status: 'pending' })
    await expect(client('ben').runs.wait(threadId, 'react', resume)).rejects.toThrow(
      /ben has approved already/,
    )
    await client('ada').runs.wait(threadId, 'react', resume)
    expect(await see('ada', path)).toMatchObject({
      status: 'approved',
      votes: [{ by: 'ben' }, { by: 'ada' }],
    })
    expect(await sent(subject)).toBe(1)
    // What a second call of that run asks for is still otto's wish.
    const runs = await client('otto').runs.list(threadId)
    expect(JSON.stringify(runs)).not.toContain('requester')
  })

  test('where a senior is asked for, people who are none are never enough', async () => {
    const subject = `senior-${database.embedded}`
    const { path, threadId } = await held(subject)
    for (const name of ['ada', 'ben', 'grace'] as const)
      expect((await approve(name, path)).json()).toMatchObject({ status: 'pending' })
    expect((await see('sam', path)).you.may).toContain('approve')
    expect((await approve('sam', path)).json()).toMatchObject({ status: 'approved' })
    await untilSent(threadId, subject)
  })

  test('a call of named people is theirs alone', async () => {
    const { path, threadId } = await held(`named-${database.embedded}`)
    const refused = await approve('sam', path)
    expect([refused.status, refused.text]).toEqual([403, 'This is decided by: grace. sam is none of them.'])
    expect((await decide('ada', path, { type: 'reject' })).status).toBe(403)
    expect((await approve('grace', path)).json()).toMatchObject({ status: 'approved' })
    await untilSent(threadId, `named-${database.embedded}`)
  })

  test('a vote that is taken back does not count; one rejection ends all', async () => {
    const { path, threadId } = await held('two-back')
    await approve('ada', path)
    expect((await as('ben', 'DELETE', `${path}/votes`)).status).toBe(404)
    expect((await as('vera', 'DELETE', `${path}/votes`)).status).toBe(403)
    expect((await as('ada', 'DELETE', `${path}/votes`)).json()).toMatchObject({
      status: 'pending',
      votes: [],
    })
    expect((await approve('ben', path)).json()).toMatchObject({ status: 'pending', votes: [{ by: 'ben' }] })
    expect((await decide('ada', path, { type: 'reject', message: 'No.' })).json()).toMatchObject({
      status: 'rejected',
    })
    await untilThread(client('otto'), threadId, 'idle')
    expect((await as('ben', 'DELETE', `${path}/votes`)).status).toBe(409)
    expect(await sent('two-back')).toBe(0)
  })

  test('an edit is released by others, who name what they saw', async () => {
    const subject = `two-edit-${database.embedded}`
    const { path, hold, threadId } = await held(subject)
    await approve('ada', path)
    const args = { ...mailTo(subject).args, body: 'Another body.' }
    const edited = (await decide('ben', path, { type: 'edit', args })).json<Shown>()
    expect(edited).toMatchObject({
      status: 'pending',
      votes: [],
      proposal: { by: 'ben', args },
      args: hold.args,
    })
    const hash = edited.proposal?.args_hash
    expect(hash).not.toBe(hold.args_hash)
    // Ada's screen still shows what was there before.
    for (const seen of [{}, { args_hash: hold.args_hash }]) {
      const stale = await decide('ada', path, { type: 'approve', ...seen })
      expect([stale.status, stale.text]).toEqual([409, expect.stringContaining(`"args_hash": "${hash}"`)])
    }
    const own = await decide('ben', path, { type: 'approve', args_hash: hash })
    expect([own.status, own.text]).toEqual([
      403,
      expect.stringMatching(/^self_approval: ben wrote these arguments/),
    ])
    expect((await decide('ada', path, { type: 'approve', args_hash: hash })).json()).toMatchObject({
      status: 'pending',
    })
    expect((await decide('sam', path, { type: 'approve', args_hash: hash })).json()).toMatchObject({
      status: 'edited',
      decisions: [
        { type: 'edit', by: 'ben', args },
        { type: 'approve', by: 'ada' },
        { type: 'approve', by: 'sam' },
      ],
    })
    await untilSent(threadId, 'Another body.')
  })

  test('an approval of other arguments than those that are held is none', async () => {
    const { path } = await held('two-other', false)
    const answer = await decide('ada', path, { type: 'approve', args_hash: 'f'.repeat(64) })
    expect([answer.status, answer.text]).toEqual([409, expect.stringContaining('is of other arguments')])
  })

  test('comments stand beside, decide nothing, and enter the record as a hash', async () => {
    const { path, threadId } = await held('two-comments', false)
    expect((await as('vera', 'POST', `${path}/comments`, { text: 'Hm.' })).status).toBe(403)
    expect((await as('otto', 'POST', `${path}/comments`, { text: '' })).status).toBe(422)
    expect(
      (await as('otto', 'POST', `${path}/comments`, { text: 'The customer asked for it.' })).json(),
    ).toMatchObject({
      status: 'pending',
      comments: [{ by: 'otto', text: 'The customer asked for it.' }],
    })
    const audit = (await as('vera', 'GET', `/audit?thread_id=${threadId}&kind=hold.commented`)).json<
      object[]
    >()
    expect(audit).toMatchObject([
      { actor: 'otto', data: { text_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) } },
    ])
    expect(JSON.stringify(audit)).not.toContain('customer')
  })
})

describe('without keys', () => {
  onEmbedded((database) => {
    const stage = useStage(database, { HOLDPOINT_POLICY: POLICY })

    test('the start says which rules hold what nobody can release', () => {
      const line = stage.logLines.find((one) => one.includes('Without keys there is one person'))
      expect(JSON.parse(line ?? '{}')).toMatchObject({ rules: ['two', 'senior', 'named', 'escalates'] })
    })

    test('the one principal releases what needs one, and only ends what needs more', async () => {
      for (const subject of ['two', 'senior', 'named']) {
        stage.play({ toolCalls: [mailTo(subject)] }, { content: 'Done.' })
        const threadId = await stage.thread()
        await stage.client.runs.wait(threadId, 'react', { input: says('Mail.') })
        const [hold] = (await stage.holds(threadId)) as Shown[]
        expect(hold).toMatchObject({
          self_approval: true,
          you: { identity: 'local', may: ['reject', 'respond'] },
        })
        expect(hold?.you.why_not).toContain('until there are keys')
        const args = hold?.args
        for (const decision of [{ type: 'approve' }, { type: 'edit', args }]) {
          const refused = await stage.decide(hold?.approval_id ?? '', decision)
          expect([refused.status, refused.text]).toEqual([
            403,
            expect.stringContaining('until there are keys'),
          ])
        }
        expect((await stage.decide(hold?.approval_id ?? '', { type: 'reject' })).status).toBe(200)
        await untilThread(stage.client, threadId, 'idle')
      }
      expect(await stage.mails()).toEqual([])
    })
  })
})
