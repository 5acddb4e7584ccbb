import { beforeEach, expect, test } from 'vitest'
import { previewHash } from '../../runtime/preview.ts'
import type { Hold } from '../../runtime/hold.ts'
import { newId } from '../../runtime/ids.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { usePolicyFile } from '../support/policy-file.ts'
import { mailsAbout, mailTo, meeting, says, untilThread, useStage } from '../support/stage.ts'

const PATH = 'notes/plan.txt'
const BEFORE = 'one\ntwo\nthree\n'
const AFTER = 'one\n2\nthree\n'

onEachDatabase((database) => {
  const policy = usePolicyFile()
  const stage = useStage(database, policy.env)
  beforeEach(() => policy.inForce(stage, [{ name: 'files', when: { tool: 'write_file' }, then: 'hold' }]))

  test('a mail is shown as it will be sent, and what was shown is what is sent', async () => {
    const subject = newId()
    stage.play({ toolCalls: [mailTo(subject)] }, { content: 'Mailed.' })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail.') })
    const [hold] = await stage.holds(threadId)
    expect(hold?.preview).toEqual({
      kind: 'mail',
      from: 'Holdpoint <agent@holdpoint.local>',
      to: ['ops@example.com'],
      cc: [],
      subject,
      text: 'A body.',
    })
    await decide(hold, 'approve')
    await untilThread(stage.client, threadId, 'idle')
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
  })

  test('a file that is as it was when people saw the difference is written', async () => {
    const { threadId, hold } = await heldWrite()
    const { preview } = hold
    expect(preview).toMatchObject({
      kind: 'diff',
      path: PATH,
      text: '@@ -1,3 +1,3 @@\n one\n-two\n+2\n three',
    })
    expect(hold.preview_hash).toBe(preview && previewHash(preview))
    const { interrupts } = await stage.client.threads.get(threadId)
    expect(JSON.stringify(interrupts)).toContain('@@ -1,3 +1,3 @@')
    stage.model.play([{ content: 'Written.' }])
    await decide(hold, 'approve')
    await untilThread(stage.client, threadId, 'idle')
    expect(await file(threadId)).toBe(AFTER)
    expect(await stage.holds(threadId)).toHaveLength(1)
  })

  test('a file that has changed since is not written: people are asked again, with the difference that it would make now', async () => {
    const { threadId, hold } = await heldWrite()
    const again = await changedMeanwhile(threadId, hold, 'one\nzwei\nthree\n')
    expect(again).toMatchObject({
      replaces: hold.approval_id,
      args_hash: hold.args_hash,
      preview: { text: '@@ -1,3 +1,3 @@\n one\n-zwei\n+2\n three' },
      reason: expect.stringMatching(/^It was approved, but what it would do has changed since\./),
    })
    expect(again.approval_id).not.toBe(hold.approval_id)
    // Once more: the one that asked again is asked for again as well.
    const third = await changedMeanwhile(threadId, again, 'one\ndeux\nthree\n')
    expect(third.replaces).toBe(again.approval_id)
    stage.model.play([{ content: 'Written.' }])
    await decide(third, 'approve')
    await untilThread(stage.client, threadId, 'idle')
    expect(await file(threadId)).toBe(AFTER)
    expect((await stage.holds(threadId)).map(({ status }) => status)).toEqual([
      'approved',
      'approved',
      'approved',
    ])
    const record = await stage.http('GET', `/audit?thread_id=${threadId}&order=asc`)
    const kinds = record.json<{ kind: string }[]>().map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind.startsWith('grant.'))).toEqual([
      'grant.committed',
      'grant.revoked',
      'grant.committed',
      'grant.revoked',
      'grant.committed',
      'grant.consumed',
    ])
  })

  test.each([
    ['reject', 'DENIED', 'A person rejected this call: Not over that.'],
    ['respond', 'answered_by', 'Not over that.'],
  ])('who is asked again may %s, and the file stays', async (type, ...words) => {
    const { threadId, hold } = await heldWrite()
    const again = await changedMeanwhile(threadId, hold, 'other\n')
    const edit = { type: 'edit', args: { path: PATH, content: 'x' } }
    expect(await stage.decide(again.approval_id, edit)).toMatchObject({ status: 422 })
    // A policy that would let it run now does not take the word back.
    await policy.inForce(stage, [])
    stage.model.play([{ content: 'Then not.' }])
    await decide(again, type, 'Not over that.')
    await untilThread(stage.client, threadId, 'idle')
    expect(await file(threadId)).toBe('other\n')
    const told = stage.model.requests.at(-1)?.messages.at(-1)
    for (const word of words) expect(JSON.stringify(told)).toContain(word)
  })

  test('what is asked for again waits on while a run goes on beside it', async () => {
    const threadId = await stage.thread()
    await put(threadId, BEFORE)
    const subject = newId()
    const together = meeting(2)
    const calls = [{ name: 'write_file', args: { path: PATH, content: AFTER } }, mailTo(subject)]
    const inStep = (index: number, told: boolean) => (request: { messages: { role: string }[] }) =>
      JSON.stringify(request.messages).includes(`Your step: do ${index}`) &&
      (request.messages.at(-1)?.role === 'tool') === told
    const steps = [0, 1].map((n) => ({ id: `s${n}`, goal: `do ${n}`, tools: [], depends_on: [] }))
    stage.play(
      { json: { steps } },
      ...calls.map((call, index) => ({
        match: inStep(index, false),
        answer: async () => {
          await together()
          return { toolCalls: [call] }
        },
      })),
    )
    await stage.client.runs.wait(threadId, 'plan_and_solve', { input: says('Do two.') })
    const of = async (tool: string) =>
      (await stage.holds(threadId, 'pending')).find((one) => one.tool === tool)
    const asked = await of('write_file')
    await put(threadId, 'meanwhile\n')
    await decide(asked, 'approve')
    await untilThread(stage.client, threadId, 'interrupted')
    const again = await of('write_file')
    expect(again?.replaces).toBe(asked?.approval_id)

    stage.model.play([{ match: inStep(1, true), answer: () => Promise.resolve({ content: 'Mailed.' }) }])
    await decide(await of('send_email'), 'approve')
    await untilThread(stage.client, threadId, 'interrupted')
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
    expect(await of('write_file')).toEqual(again)
    expect(await file(threadId)).toBe('meanwhile\n')

    stage.model.play([
      { match: inStep(0, true), answer: () => Promise.resolve({ content: 'Written.' }) },
      { content: 'Both done.' },
    ])
    await decide(again, 'approve')
    await untilThread(stage.client, threadId, 'idle')
    expect(await file(threadId)).toBe(AFTER)
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
  })

  test('an edit of the one who releases it is not compared: nobody was shown what it would do', async () => {
    const { threadId, hold } = await heldWrite()
    stage.model.play([{ content: 'Written.' }])
    const args = { path: PATH, content: 'edited\n' }
    await put(threadId, 'meanwhile\n')
    expect(await stage.decide(hold.approval_id, { type: 'edit', args })).toMatchObject({ status: 200 })
    await untilThread(stage.client, threadId, 'idle')
    expect(await file(threadId)).toBe('edited\n')
  })

  async function heldWrite(): Promise<{ threadId: string; hold: Hold }> {
    const threadId = await stage.thread()
    await put(threadId, BEFORE)
    stage.model.play([{ toolCalls: [{ name: 'write_file', args: { path: PATH, content: AFTER } }] }])
    await stage.client.runs.wait(threadId, 'react', { input: says('Write.') })
    return { threadId, hold: await pending(threadId) }
  }

  /** Approves what people saw after the file has become another; returns what they are asked instead. */
  async function changedMeanwhile(threadId: string, hold: Hold, content: string): Promise<Hold> {
    await put(threadId, content)
    await decide(hold, 'approve')
    await untilThread(stage.client, threadId, 'interrupted')
    expect(await file(threadId)).toBe(content)
    return await pending(threadId)
  }

  async function pending(threadId: string): Promise<Hold> {
    const [hold, ...others] = await stage.holds(threadId, 'pending')
    if (hold === undefined || others.length > 0) throw new Error(`${others.length + 1} approvals wait.`)
    return hold
  }

  async function decide(hold: Hold | undefined, type: string, message?: string): Promise<void> {
    const said = message === undefined ? {} : { message }
    const answer = await stage.decide(hold?.approval_id ?? '', { type, ...said })
    expect(answer.status).toBe(200)
    await stage.client.runs.join(hold?.thread_id ?? '', answer.json<Hold>().resumed_run_id ?? '')
  }

  async function put(threadId: string, content: string): Promise<void> {
    const url = `${stage.url}/threads/${threadId}/files/${PATH}`
    expect((await fetch(url, { method: 'PUT', body: content })).status).toBe(200)
  }

  const file = async (threadId: string) =>
    (await stage.http('GET', `/threads/${threadId}/files/${PATH}`)).text
})
