import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Client } from '@langchain/langgraph-sdk'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Hold } from '../../../runtime/hold.ts'
import { openStorage } from '../../../storage/open.ts'
import type { PolicyFile } from '../../../tools/policy/schema.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { type Keyed, useKeyedStage } from '../../support/keys.ts'
import { usePolicyFile } from '../../support/policy-file.ts'
import type { ScriptedStep } from '../../support/scripted-model.ts'
import { mailsAbout, mailTo, says, untilThread } from '../../support/stage.ts'

const PEOPLE = {
  otto: { roles: ['operator'] },
  ann: { roles: ['admin'] },
  tess: { roles: ['operator'], tenant: 'acme' },
  ada: { roles: ['approver'] },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

onEachDatabase((database) => {
  let web: Server | undefined
  const address = () => `127.0.0.1:${(web?.address() as AddressInfo | undefined)?.port ?? 0}`
  const policy = usePolicyFile()
  beforeAll(async () => {
    web = createServer((_, response) => response.end('Prices.'))
    await new Promise<void>((done) => web?.listen(0, '127.0.0.1', done))
    policy.env['HOLDPOINT_HTTP_PRIVATE_HOSTS'] = address()
  })
  afterAll(() => web?.close())
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE, policy.env)
  beforeEach(() => policy.inForce(stage, []))
  const client = (name: Name) => new Client({ apiUrl: stage.url, apiKey: keyOf(name) })
  const given = (tools: PolicyFile['tools']) => policy.inForce(stage, [], tools)

  async function runAs(name: Name, agent: string, ...steps: ScriptedStep[]): Promise<string> {
    stage.play(...steps)
    const { thread_id: threadId } = await client(name).threads.create()
    await client(name).runs.wait(threadId, agent, { input: says('Go.') })
    return threadId
  }
  /** What the model was told of with each request, and the last result that it read. */
  const shown = () =>
    stage.model.requests.map(({ tools }) => (tools ?? []).map((tool) => tool.function.name).toSorted())
  const told = () =>
    stage.model.requests.flatMap(({ messages }) => messages).findLast(({ role }) => role === 'tool')
      ?.content as string | undefined

  async function refusals(threadId: string): Promise<object[]> {
    const path = `/audit?thread_id=${threadId}&kind=call.refused`
    return (await as('ann', 'GET', path)).json<object[]>()
  }

  describe.each(['react', 'plan_and_solve', 'supervisor'])('%s', (agent) => {
    const list = { toolCalls: [{ name: 'list_files', args: {} }] }
    const done = { content: 'I could not.' }
    const plan = {
      json: { steps: [{ id: 'a', goal: 'Look.', tools: ['read_file'], depends_on: [] }] },
    }
    const route = (next: string) => ({ json: { next, task: 'Look.', answer: 'Done.' } })
    const script = {
      react: [list, done],
      plan_and_solve: [plan, list, done, done],
      supervisor: [route('researcher'), list, done, route('finish')],
    }[agent] as ScriptedStep[]

    test('is told of the tools that the list gives it alone, and has no other when it asks for it', async () => {
      await given([
        { tool: 'read_*', agent },
        { tool: '*', agent: 'another' },
      ])
      const threadId = await runAs('otto', agent, ...script)
      expect(shown().filter((names) => names.length > 0)).toEqual([['read_file'], ['read_file']])
      expect(JSON.stringify(stage.model.requests[0]?.messages)).not.toContain('list_files')
      const message = "The policy's list of tools does not give list_files here."
      expect(told()).toContain('"code":"DENIED"')
      expect(told()).toContain(message)
      expect(await refusals(threadId)).toMatchObject([
        { tool: 'list_files', actor_type: 'agent', data: { rule: null } },
      ])
    })
  })

  test('a plan may name no tool that the list does not give', async () => {
    await given([{ tool: 'read_file' }])
    const plan = (...tools: string[]) => ({
      json: { steps: [{ id: 'a', goal: 'Look.', tools, depends_on: [] }] },
    })
    await runAs('otto', 'plan_and_solve', plan('list_files'), plan(), { content: 'a' }, { content: 'b' })
    expect(JSON.stringify(stage.model.requests[1]?.messages)).toContain(
      String.raw`wants the tool \"list_files\", which does not exist`,
    )
  })

  test('what it does not give is denied and recorded, also with arguments that the tool does not take', async () => {
    await given([{ tool: 'read_file' }])
    const call = { name: 'send_email', args: { what: 'everything' } }
    const threadId = await runAs('otto', 'react', { toolCalls: [call] }, { content: 'I could not.' })
    expect(told()).toContain('does not give send_email here. It has: read_file.')
    expect(await refusals(threadId)).toMatchObject([{ tool: 'send_email' }])
  })

  test('the role of whoever started the run, and the tenant', async () => {
    await given([
      { tool: 'search_files', role: 'admin' },
      { tool: 'read_file', tenant: 'acme' },
      { tool: 'list_files', role: ['viewer', 'operator'], tenant: 'default' },
    ])
    const seen: Record<string, string[][]> = {}
    for (const name of ['otto', 'ann', 'tess'] as const) {
      await runAs(name, 'react', { content: 'Hello.' })
      seen[name] = shown()
    }
    expect(seen).toEqual({ otto: [['list_files']], ann: [['search_files']], tess: [['read_file']] })
  })

  test('what the thread has read: afterwards the model is not told of the mail any more', async () => {
    await given([{ tool: ['http_fetch', 'read_file'] }, { tool: 'send_email', untrusted: false }])
    const page = { name: 'http_fetch', args: { url: `http://${address()}/` } }
    const threadId = await runAs(
      'otto',
      'react',
      { toolCalls: [page] },
      { toolCalls: [mailTo('after reading')] },
      { content: 'I could not.' },
    )
    const without = ['http_fetch', 'read_file']
    expect(shown()).toEqual([[...without, 'send_email'], without, without])
    expect(await refusals(threadId)).toMatchObject([{ tool: 'send_email' }])
    expect(await holdsOf(threadId)).toEqual([])
  })

  test('what was approved while the list gave the tool does not run when it is taken away', async () => {
    const subject = `taken away ${database.embedded}`
    await given([{ tool: 'send_email' }])
    const threadId = await runAs('otto', 'react', { toolCalls: [mailTo(subject)] }, { content: 'Denied.' })
    await given([{ tool: 'read_file' }])
    await decide(threadId, { type: 'approve' })
    expect(told()).toContain("The policy's list of tools does not give send_email here.")
    expect(await mailsAbout(subject, stage.mails)).toBe(0)
  })

  test('a person’s edit is judged for the role of whoever asked', async () => {
    const rules: PolicyFile['rules'] = [
      // oxlint-disable-next-line unicorn/no-thenable -- the rule of a policy
      { name: 'not abroad', when: { role: 'operator', args: { to: { matches: '*.org' } } }, then: 'deny' },
    ]
    await policy.inForce(stage, rules)
    for (const name of ['otto', 'ann'] as const) {
      const threadId = await runAs(name, 'react', { toolCalls: [mailTo('edited')] })
      const [hold] = await holdsOf(threadId)
      expect(hold?.requester_roles).toEqual(PEOPLE[name].roles)
      const edit = { type: 'edit', args: { ...mailTo('edited').args, to: 'x@example.org' } }
      const { status, text } = await decision(hold?.approval_id ?? '', edit)
      expect([name, status]).toEqual([name, name === 'ann' ? 200 : 422])
      if (name === 'otto') expect(text).toContain('not abroad')
    }
  })

  test.skipIf(database.embedded)('a role that was taken away counts from the next run on', async () => {
    const storage = await openStorage({
      databaseUrl: undefined,
      ...database.place,
      poolSize: 1,
      connectTimeoutMs: 3_000,
    })
    const subject = 'no admin any more'
    try {
      await given([{ tool: 'send_email', role: 'admin' }])
      const threadId = await runAs('ann', 'react', { toolCalls: [mailTo(subject)] }, { content: 'Denied.' })
      await storage.people.setRoles('ann', ['operator'], 'a test')
      // The answer goes on for whoever asked: with what they have now.
      await decide(threadId, { type: 'approve' })
      expect(told()).toContain("The policy's list of tools does not give send_email here.")
      expect(await mailsAbout(subject, stage.mails)).toBe(0)
    } finally {
      await storage.people.setRoles('ann', ['admin'], 'a test')
      await storage.close()
    }
  })

  async function holdsOf(threadId: string) {
    const path = `/approvals?thread_id=${threadId}`
    return (await as('ada', 'GET', path)).json<Hold[]>()
  }
  const decision = (approvalId: string, body: object) =>
    as('ada', 'POST', `/approvals/${approvalId}/decisions`, body)
  async function decide(threadId: string, body: object): Promise<void> {
    const [hold] = await holdsOf(threadId)
    expect((await decision(hold?.approval_id ?? '', body)).status).toBe(200)
    await untilThread(client('ann'), threadId, 'idle')
  }
})
