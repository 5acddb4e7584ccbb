import { beforeEach, expect, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { type Rules, usePolicyFile } from '../support/policy-file.ts'
import { mailsAbout, untilThread, useStage } from '../support/stage.ts'
import { Client } from '@langchain/langgraph-sdk'

const REFUND = { tool: 'refund' }

onEachDatabase((database) => {
  const policy = usePolicyFile({ HOLDPOINT_CONFIG: 'test/support/policy/langgraph.json' })
  const stage = useStage(database, policy.env)
  const inForce = (rules: Rules) => policy.inForce(stage, rules)
  beforeEach(() => inForce([]))

  test("a tool of a project's own is judged by the same rules, with who asks and as which agent", async () => {
    await inForce([
      {
        name: 'small',
        when: { ...REFUND, agent: 'clerk', requester: 'ada', args: { cents: { lte: 500 } } },
        then: 'allow',
      },
      { name: 'not for bob', when: { requester: 'bob' }, then: 'deny' },
    ])
    expect(await result('ada')).toContain('"refunded":500')
    expect(await result('bob')).toContain(String.raw`Rule \"not for bob\" denies refund.`)
    const { hold } = await held('eve', 'clerk')
    expect(hold).toMatchObject({ rule: null, requester: 'eve', graph_id: 'clerk' })
    await inForce([{ name: 'other agent', when: { agent: 'forger' }, then: 'deny' }])
    expect((await held('eve', 'clerk')).hold.rule).toBe(null)
  })

  test('whoever answers a hold, the call is still judged for the one who asked', async () => {
    for (const how of ['approvals', 'resume'] as const) {
      const { threadId, hold } = await held('ada', 'clerk')
      await inForce([{ name: 'not for ada', when: { requester: 'ada' }, then: 'deny' }])
      if (how === 'approvals') await decide('admin', hold)
      else
        await as('admin').runs.wait(threadId, 'clerk', {
          command: { resume: { [hold.interrupt_id]: { type: 'approve' } } },
        })
      expect(await lastMessage('ada', threadId)).toContain(String.raw`Rule \"not for ada\" denies refund.`)
      await inForce([])
    }
  })

  test('a graph that forges what its call needs gets no further than the policy', async () => {
    await inForce([{ name: 'pairs', when: { tool: 'send_email' }, then: 'hold', approvers: 2 }])
    const { threadId, hold } = await held('ada', 'forger')
    expect(hold).toMatchObject({
      rule: null,
      policy_version: 'forged',
      needs: { approvers: 1 },
      expires_at: null,
    })
    await decide('admin', hold)
    expect(await lastMessage('ada', threadId)).toContain('send_email needs 2 people to approve exactly these')
    expect(await mailsAbout('forged needs', stage.mails)).toBe(0)
  })

  const as = (name: string) =>
    new Client({ apiUrl: stage.url, apiKey: null, defaultHeaders: { authorization: `Bearer ${name}` } })

  async function held(name: string, graph: string): Promise<{ threadId: string; hold: Hold }> {
    const threadId = await started(name, graph)
    const answer = await stage.http(
      'GET',
      `/approvals?status=pending&thread_id=${threadId}`,
      undefined,
      bearer(name),
    )
    const [hold] = answer.json<Hold[]>()
    if (hold === undefined) throw new Error('Nothing is held.')
    return { threadId, hold }
  }

  async function started(name: string, graph: string): Promise<string> {
    const client = as(name)
    const { thread_id } = await client.threads.create()
    await client.runs.wait(thread_id, graph, { input: {} })
    return thread_id
  }

  async function result(name: string): Promise<string> {
    return await lastMessage(name, await started(name, 'clerk'))
  }

  async function decide(name: string, hold: Hold): Promise<void> {
    const answer = await stage.http(
      'POST',
      `/approvals/${hold.approval_id}/decisions`,
      { type: 'approve' },
      bearer(name),
    )
    expect(answer.status).toBe(200)
  }

  async function lastMessage(name: string, threadId: string): Promise<string> {
    await untilThread(as(name), threadId, 'idle')
    const { values } = await as(name).threads.getState<{ messages: { content: string }[] }>(threadId)
    return values.messages.at(-1)?.content ?? ''
  }
})

function bearer(name: string): Record<string, string> {
  return { authorization: `Bearer ${name}` }
}
