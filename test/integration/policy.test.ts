import { writeFile } from 'node:fs/promises'
import { beforeEach, expect, test, vi } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { NO_RULES, readPolicy } from '../../tools/policy/schema.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { type Rules, usePolicyFile } from '../support/policy-file.ts'
import { startTestServer } from '../support/server.ts'
import { mailsAbout, mailTo, says, untilThread, useStage, WAIT } from '../support/stage.ts'

const MAIL = 'send_email'
const DENY_RIVALS: Rules[number] = {
  name: 'no rivals',
  when: { tool: MAIL, args: { 'to, cc': { recipients: ['rival.example'] } } },
  then: 'deny',
  reason: 'nothing goes to a rival',
}

onEachDatabase((database) => {
  const policy = usePolicyFile()
  const stage = useStage(database, policy.env)
  const inForce = (rules: Rules) => policy.inForce(stage, rules)
  beforeEach(() => inForce([]))

  test('a rule allows what its risk would hold, and one holds what its risk would not', async () => {
    const version = await inForce([
      { name: 'inside', when: { args: { 'to, cc': { recipients: ['example.com'] } } }, then: 'allow' },
      { name: 'files', when: { tool: 'list_files' }, then: 'hold', expires_in: '30m', who: ['local', 'ops'] },
    ])
    const threadId = await stage.thread()
    stage.play({ toolCalls: [mailTo('allowed')] }, { content: 'Mailed.' })
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail.') })
    expect(await mailsAbout('allowed', stage.mails)).toBe(1)
    expect(await stage.holds(threadId)).toEqual([])

    stage.play({ toolCalls: [{ name: 'list_files', args: {} }] }, { content: 'Listed.' })
    await stage.client.runs.wait(threadId, 'react', { input: says('List.') })
    const [hold] = await stage.holds(threadId, 'pending')
    expect(hold).toMatchObject({
      tool: 'list_files',
      rule: 'files',
      policy_version: version,
      needs: { approvers: 1, seniors: 0, who: ['local', 'ops'], expires_in: 1_800, on_expiry: 'reject' },
      requester: 'local',
      graph_id: 'react',
      tenant_id: 'default',
      reason: 'Rule "files" holds list_files. It needs a person to approve it.',
    })
    const [created, expires] = [hold?.created_at, hold?.expires_at].map((date) => Date.parse(date ?? ''))
    expect((expires ?? 0) - (created ?? 0)).toBe(1_800_000)
    await stage.decide(hold?.approval_id ?? '', { type: 'approve' })
    await untilThread(stage.client, threadId, 'idle')
  })

  test('a call that a rule denies never waits: the model is told by which rule and why', async () => {
    await inForce([DENY_RIVALS])
    const threadId = await stage.thread()
    stage.play({ toolCalls: [mailTo('denied', { cc: 'Boss@Rival.Example' })] }, { content: 'Not mailed.' })
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail.') })
    expect(await stage.holds(threadId)).toEqual([])
    expect(JSON.stringify(stage.model.requests.at(-1)?.messages.at(-1))).toContain(
      String.raw`Rule \\\"no rivals\\\" denies send_email: nothing goes to a rival.`,
    )
    expect(await mailsAbout('denied', stage.mails)).toBe(0)
  })

  test('what was approved before the policy changed does not run when it is denied now', async () => {
    const { threadId, hold } = await held('late', { to: 'boss@rival.example' })
    await inForce([DENY_RIVALS])
    stage.model.play([{ content: 'It may not be.' }])
    expect((await stage.decide(hold.approval_id, { type: 'approve' })).json()).toMatchObject({
      status: 'approved',
    })
    await untilThread(stage.client, threadId, 'idle')
    expect(await mailsAbout('late', stage.mails)).toBe(0)
    expect(JSON.stringify(stage.model.requests.at(-1)?.messages.at(-1))).toContain('nothing goes to a rival')
  })

  test('one approval is not enough where the policy wants two by the time of the call', async () => {
    const { threadId, hold } = await held('more people')
    await inForce([{ name: 'pairs', when: { tool: MAIL }, then: 'hold', approvers: 2 }])
    stage.model.play([{ content: 'It needs two.' }])
    await stage.decide(hold.approval_id, { type: 'approve' })
    await untilThread(stage.client, threadId, 'idle')
    expect(await mailsAbout('more people', stage.mails)).toBe(0)
    expect(JSON.stringify(stage.model.requests.at(-1)?.messages.at(-1))).toContain(
      'send_email needs 2 people to approve exactly these arguments, and has 1.',
    )
  })

  test('a call that two people must release says so, and one cannot release it', async () => {
    await inForce([{ name: 'pairs', when: { tool: MAIL }, then: 'hold', approvers: 2, on_expiry: 'wait' }])
    const { threadId, hold } = await held('two')
    expect(hold).toMatchObject({ rule: 'pairs', needs: { approvers: 2 }, expires_at: null })
    const refused = await stage.decide(hold.approval_id, { type: 'approve' })
    expect(refused).toMatchObject({ status: 403, text: expect.stringContaining('needs 2 people') })
    stage.model.play([{ content: 'All right.' }])
    expect(await stage.decide(hold.approval_id, { type: 'reject' })).toMatchObject({ status: 200 })
    await untilThread(stage.client, threadId, 'idle')
  })

  test('an edit is judged, too: one that a rule denies is 422, and the approval still waits', async () => {
    await inForce([
      DENY_RIVALS,
      { name: 'far', when: { args: { to: { recipients: ['far.example'] } } }, then: 'hold', approvers: 3 },
    ])
    const { threadId, hold } = await held('edited')
    const edit = (to: string) => ({ type: 'edit', args: { ...mailTo('edited').args, to } })
    const denied = await stage.decide(hold.approval_id, edit('boss@rival.example'))
    expect(denied).toMatchObject({
      status: 422,
      text: expect.stringContaining('nothing goes to a rival. The approval still waits.'),
    })
    const resumed = await stage.http('POST', `/threads/${threadId}/runs`, {
      assistant_id: 'react',
      command: { resume: edit('boss@rival.example') },
    })
    expect(resumed).toMatchObject({ status: 422, text: expect.stringContaining('nothing goes to a rival') })
    // It needs more people than there are: as strict as for either call.
    expect(await stage.decide(hold.approval_id, edit('x@far.example'))).toMatchObject({
      status: 403,
      text: expect.stringContaining('needs 3 people'),
    })
    expect(await stage.holds(threadId)).toMatchObject([{ status: 'pending', decisions: [] }])
    stage.model.play([{ content: 'Mailed.' }])
    expect(await stage.decide(hold.approval_id, edit('ok@example.com'))).toMatchObject({ status: 200 })
    await untilThread(stage.client, threadId, 'idle')
    expect(await mailsAbout('edited', stage.mails)).toBe(1)
  })

  test('a policy that is wrong is warned of and changes nothing; the next one that is right counts', async () => {
    await inForce([DENY_RIVALS])
    const lines = stage.logLines.length
    await writeFile(policy.file, '{"rules":[{"name":"x","when":{},"then":"deny"}]}')
    await vi.waitFor(
      () => expect(stage.logLines.slice(lines).join()).toContain('rules[0].when: must say when'),
      WAIT,
    )
    const threadId = await stage.thread()
    stage.play({ toolCalls: [mailTo('still', { to: 'a@rival.example' })] }, { content: 'Denied.' })
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail.') })
    expect(await stage.holds(threadId)).toEqual([])
    expect(await mailsAbout('still', stage.mails)).toBe(0)
    await inForce([])
  })

  test('each change is in the record once, with what was in force before', async () => {
    const entries = async () =>
      (await stage.http('GET', '/audit?kind=policy.changed&limit=100'))
        .json<{ data: object }[]>()
        .map(({ data }) => data)
    const [before, rules] = [(await entries()).length, [DENY_RIVALS]]
    await inForce(rules)
    const changed = { version: readPolicy({ rules }).version, previous: NO_RULES.version }
    await vi.waitFor(async () => expect(await entries()).toHaveLength(before + 1), WAIT)
    expect(await entries()).toContainEqual(changed)
    if (database.embedded) return
    // Another server, and the same one again, have nothing to add.
    const other = await startTestServer({
      ...database.place,
      env: { ...policy.env, HOLDPOINT_WORKERS: '0' },
    })
    await other.close()
    expect(await entries()).toHaveLength(before + 1)
  })

  async function held(
    subject: string,
    more: Record<string, string> = {},
  ): Promise<{ threadId: string; hold: Hold }> {
    const threadId = await stage.thread()
    stage.play({ toolCalls: [mailTo(subject, more)] })
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail.') })
    const [hold] = await stage.holds(threadId, 'pending')
    if (hold === undefined) throw new Error('Nothing is held.')
    return { threadId, hold }
  }
})
