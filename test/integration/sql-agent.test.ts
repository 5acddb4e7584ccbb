import { beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { onPostgres } from '../support/each-database.ts'
import { usePolicyFile } from '../support/policy-file.ts'
import { useShop } from '../support/shop/shop.ts'
import { says, untilThread, useStage } from '../support/stage.ts'

const PAY = 'update orders set paid = true where id <= 2 and not paid'

describe.skipIf(inject('services').postgres === null)('an agent with the SQL tools', () => {
  const shop = useShop()
  onPostgres((database) => {
    const policy = usePolicyFile({ HOLDPOINT_CONFIG: 'test/support/shop/langgraph.json' })
    beforeAll(() => {
      const { tables, writeTables } = shop.settings
      Object.assign(policy.env, {
        HOLDPOINT_SQL_URL: shop.url,
        HOLDPOINT_SQL_TABLES: tables.join(','),
        HOLDPOINT_SQL_WRITE_URL: shop.url,
        HOLDPOINT_SQL_WRITE_TABLES: writeTables.join(','),
      })
    })
    const stage = useStage(database, policy.env)
    beforeEach(async () => {
      await shop.rows('update orders set paid = false where paid')
      // Nobody has a key here, so one person has to be enough.
      await policy.inForce(stage, [
        // oxlint-disable-next-line unicorn/no-thenable -- the rule of a policy
        { name: 'writes', when: { tool: 'sql_execute' }, then: 'hold', risk: 'medium' },
      ])
    })

    test('reads at once, and changes what a person has approved, once', async () => {
      stage.play(
        { toolCalls: [{ name: 'sql_query', args: { query: 'select count(*) from orders where not paid' } }] },
        { toolCalls: [{ name: 'sql_execute', args: { statement: PAY, expected_rows: 2 } }] },
      )
      const hold = await held()
      expect(JSON.stringify(stage.model.requests[1]?.messages.at(-1))).toContain('[[1000]]')
      expect(hold).toMatchObject({
        tool: 'sql_execute',
        preview: { kind: 'text', text: expect.stringMatching(/^It updates 2 rows of orders\./) },
      })
      expect(await paid()).toBe(0)
      stage.model.play([{ content: 'Paid.' }])
      await approve(hold)
      await untilThread(stage.client, hold.thread_id, 'idle')
      expect(await paid()).toBe(2)
      expect(JSON.stringify(stage.model.requests[0]?.messages.at(-1))).toContain('rows_changed')
    })

    test('where other rows would be changed by then, people are asked again', async () => {
      stage.play({ toolCalls: [{ name: 'sql_execute', args: { statement: PAY } }] })
      const hold = await held()
      await shop.rows('update orders set paid = true where id = 1')
      await approve(hold)
      await untilThread(stage.client, hold.thread_id, 'interrupted')
      const [again] = await stage.holds(hold.thread_id, 'pending')
      expect(again).toMatchObject({
        replaces: hold.approval_id,
        preview: { text: expect.stringMatching(/^It updates 1 rows of orders\./) },
      })
      expect(await paid()).toBe(1)
    })

    test('by its own risk a change needs two people', async () => {
      await policy.inForce(stage, [])
      stage.play({ toolCalls: [{ name: 'sql_execute', args: { statement: PAY } }] })
      const hold = await held()
      expect(hold).toMatchObject({ risk: 'high', needs: { approvers: 2 } })
    })

    async function held(): Promise<Hold> {
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'clerk', { input: says('Do it.') })
      const [hold] = await stage.holds(threadId, 'pending')
      if (hold === undefined) throw new Error('No approval waits.')
      return hold
    }

    async function approve({ approval_id, thread_id }: Hold): Promise<void> {
      const answer = await stage.decide(approval_id, { type: 'approve' })
      expect(answer.status).toBe(200)
      await stage.client.runs.join(thread_id, answer.json<Hold>().resumed_run_id ?? '')
    }

    async function paid(): Promise<number> {
      const [row] = await shop.rows<{ n: number }>('select count(*)::int as n from orders where paid')
      return row?.n ?? 0
    }
  })
})
