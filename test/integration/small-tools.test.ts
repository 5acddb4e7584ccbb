import { beforeEach, describe, expect, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { usePolicyFile } from '../support/policy-file.ts'
import { says, untilThread, useStage } from '../support/stage.ts'

onEachDatabase((database) => {
  const policy = usePolicyFile({ HOLDPOINT_CONFIG: 'test/support/small/langgraph.json' })
  const stage = useStage(database, policy.env)
  beforeEach(() => policy.inForce(stage, []))

  test('what is computed and what time it is comes back in the same turn', async () => {
    const told = await answersTo(
      { name: 'calculator', args: { expression: '0.1 + 0.2' } },
      { name: 'current_time', args: { time_zone: 'Asia/Kolkata' } },
      { name: 'current_time', args: { time_zone: 'Nowhere/Else' } },
    )
    expect(told[0]).toContain('{"value":"0.3","exact":true}')
    expect(told[1]).toMatch(/"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+05:30"/)
    expect(told[2]).toContain('INVALID_ARGS')
  })

  describe('ask_human', () => {
    const ask = { name: 'ask_human', args: { question: 'Which of them?', options: ['the red', 'the blue'] } }

    test('waits for a person, whose answer is its result, also where the policy allows all', async () => {
      // oxlint-disable-next-line unicorn/no-thenable -- the rule of a policy
      await policy.inForce(stage, [{ name: 'all', when: { tool: '*' }, then: 'allow' }])
      const hold = await asked()
      expect(hold).toMatchObject({
        tool: 'ask_human',
        needs: { approvers: 1 },
        reason: 'ask_human is a question to people. Respond with the answer.',
        preview: { kind: 'text', text: 'Which of them?\n- the red\n- the blue' },
      })
      expect(await told(hold, { type: 'respond', message: 'the blue' })).toContain(
        '{"answered_by":"person","message":"the blue"}',
      )
    })

    test('an approval is no answer, and the model is told so', async () => {
      expect(await told(await asked(), { type: 'approve' })).toContain('given no answer')
    })

    async function asked(): Promise<Hold> {
      stage.play({ toolCalls: [ask] })
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'helper', { input: says('Ask.') })
      const [hold] = await stage.holds(threadId, 'pending')
      if (hold === undefined) throw new Error('Nobody was asked.')
      return hold
    }

    async function told(hold: Hold, decision: object): Promise<string> {
      stage.model.play([{ content: 'Thank you.' }])
      expect((await stage.decide(hold.approval_id, decision)).status).toBe(200)
      await untilThread(stage.client, hold.thread_id, 'idle')
      return stage.model.requests[0]?.messages.at(-1)?.content as string
    }
  })

  /** What the model reads of each call, of a run that ends. */
  async function answersTo(
    ...toolCalls: { name: string; args: Record<string, unknown> }[]
  ): Promise<string[]> {
    stage.play({ toolCalls: toolCalls as never }, { content: 'Done.' })
    await stage.client.runs.wait(null, 'helper', { input: says('Go.') })
    const { messages = [] } = stage.model.requests.at(-1) ?? {}
    return messages.filter(({ role }) => role === 'tool').map(({ content }) => content as string)
  }
})
